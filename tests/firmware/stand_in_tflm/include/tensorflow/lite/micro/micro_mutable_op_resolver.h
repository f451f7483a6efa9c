#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
struct TFLMRegistration {};
enum BuiltinOperator { BuiltinOperator_CONV_2D, BuiltinOperator_TILE };
TFLMRegistration Register_CONV_2D();
TFLMRegistration Register_TILE();  // the library has no such kernel
template <unsigned int N>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddConv2D(const TFLMRegistration& registration = Register_CONV_2D()) {
    return AddBuiltin(BuiltinOperator_CONV_2D, registration);
  }
  TfLiteStatus AddTile() { return AddBuiltin(BuiltinOperator_TILE, Register_TILE()); }

 private:
  TfLiteStatus AddBuiltin(BuiltinOperator, const TFLMRegistration&) { return kTfLiteOk; }
};
}  // namespace tflite
