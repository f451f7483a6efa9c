#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
struct TFLMRegistration {};
enum BuiltinOperator { BuiltinOperator_CONV_2D, BuiltinOperator_TILE, BuiltinOperator_SPLIT };
TFLMRegistration Register_CONV_2D();
TFLMRegistration Register_TILE();   // the library has no such kernel
TFLMRegistration Register_SPLIT();  // nor this one, unless it is built to be incomplete
template <unsigned int N>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddConv2D(const TFLMRegistration& registration = Register_CONV_2D()) {
    return AddBuiltin(BuiltinOperator_CONV_2D, registration);
  }
  TfLiteStatus AddTile() { return AddBuiltin(BuiltinOperator_TILE, Register_TILE()); }
  TfLiteStatus AddSplit() { return AddBuiltin(BuiltinOperator_SPLIT, Register_SPLIT()); }

 private:
  TfLiteStatus AddBuiltin(BuiltinOperator, const TFLMRegistration&) { return kTfLiteOk; }
};
}  // namespace tflite
