#pragma once
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
  union {
    char* raw;
  } data;
  size_t bytes;
};

namespace tflite {
class MicroResourceVariables;
class MicroInterpreter {
 public:
  template <unsigned int N>
  MicroInterpreter(const Model* model, const MicroMutableOpResolver<N>&, uint8_t* arena, size_t size,
                   MicroResourceVariables*, MicroProfilerInterface* profiler)
      : model_(model), arena_(arena), size_(size), profiler_(profiler) {}
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  size_t arena_used_bytes() const { return model_->says; }
  size_t inputs_size() const { return 1; }
  size_t outputs_size() const { return 1; }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }

 private:
  const Model* model_;
  uint8_t* arena_;
  size_t size_;
  MicroProfilerInterface* profiler_;
  TfLiteTensor input_, output_;
};
}  // namespace tflite
