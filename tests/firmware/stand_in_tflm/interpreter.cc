#include "tensorflow/lite/micro/micro_interpreter.h"

#include "tensorflow/lite/micro/debug_log.h"

namespace {
void say(const char* format, ...) {
  va_list args;
  va_start(args, format);
  DebugLog(format, args);
  va_end(args);
}
}  // namespace

namespace tflite {

TFLMRegistration Register_CONV_2D() { return {}; }

TfLiteStatus MicroInterpreter::AllocateTensors() {
  if (size_ < model_->needs) {
    say("Failed to allocate tail memory. Requested: %u, available %u\n", model_->needs, static_cast<unsigned>(size_));
    return kTfLiteError;
  }
  input_.data.raw = reinterpret_cast<char*>(arena_);
  output_.data.raw = reinterpret_cast<char*>(arena_) + 4;
  input_.bytes = output_.bytes = 4;
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  uint32_t event = profiler_ ? profiler_->BeginEvent("CONV_2D") : 0;
  uint32_t turns = model_->turns;
  __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(turns) : : "cc"); /* two instructions a turn */
  for (int i = 0; i < 4; i++) {
    output_.data.raw[i] = input_.data.raw[3 - i];
  }
  switch (model_->wrong) {
    case 1:
      *reinterpret_cast<volatile uint32_t*>(arena_ + size_) = 1;
      break;
    case 2:
      __asm__ volatile("udf #0");
      break;
    case 3:
      for (;;) {
        __asm__ volatile("nop");
      }
    case 4:
      return kTfLiteError;
    default:
      break;
  }
  if (profiler_) {
    profiler_->EndEvent(event);
  }
  return kTfLiteOk;
}

}  // namespace tflite
