// Runs the model that the host has put into memory, once, in an arena of the size asked for. Everything that it has to
// say stands in `runner_report`; the host reads it from memory when `runner_done` is reached.
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include "report.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

#include "operators.inc"  // RUNNER_RESOLVER_SIZE and register_operators: made by the host

extern "C" {
__attribute__((section(".noinit"), used)) runner_request runner_request_block;
__attribute__((section(".noinit"), used)) runner_report runner_report_block;

// Marks: the emulator notes the instructions so far whenever one of these is reached.
__attribute__((noinline, used)) void runner_begin() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void runner_end() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void runner_operator_begin() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void runner_operator_end() { __asm__ volatile("" ::: "memory"); }

static void append(const char* text, int length) {
  runner_report& report = runner_report_block;
  for (int i = 0; i < length && report.log_bytes < RUNNER_LOG_BYTES; i++) {
    report.log[report.log_bytes++] = text[i];
  }
}

// TFLM's own words; its header says which of the two ways this version has.
#ifdef RUNNER_LOG_HAS_ARGUMENTS
void DebugLog(const char* format, va_list args) {
  char line[256];
  int length = vsnprintf(line, sizeof line, format, args);
  append(line, length < static_cast<int>(sizeof line) ? length : static_cast<int>(sizeof line) - 1);
}
int DebugVsnprintf(char* buffer, size_t size, const char* format, va_list args) {
  return vsnprintf(buffer, size, format, args);
}
#else
void DebugLog(const char* text) { append(text, static_cast<int>(strlen(text))); }
#endif
}  // extern "C"

namespace {

class Marker : public tflite::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char* tag) override {
    runner_report& report = runner_report_block;
    if (report.operators < RUNNER_OPERATORS) {
      strncpy(report.tag[report.operators], tag, RUNNER_TAG_BYTES - 1);
    }
    report.operators++;
    runner_operator_begin();
    return 0;
  }
  void EndEvent(uint32_t) override { runner_operator_end(); }
};

alignas(16) uint8_t interpreter_memory[sizeof(tflite::MicroInterpreter)];
alignas(16) uint8_t resolver_memory[sizeof(tflite::MicroMutableOpResolver<RUNNER_RESOLVER_SIZE>)];
alignas(16) uint8_t marker_memory[sizeof(Marker)];

runner_state run(runner_report& report, const runner_request& request) {
  if (request.magic != RUNNER_MAGIC) {
    return RUNNER_BAD_REQUEST;
  }
  const tflite::Model* model = tflite::GetModel(reinterpret_cast<const void*>(request.model));
  if (model->version() != 3) {
    return RUNNER_BAD_SCHEMA;
  }
  auto* resolver = new (resolver_memory) tflite::MicroMutableOpResolver<RUNNER_RESOLVER_SIZE>();
  if (!register_operators(*resolver)) {
    return RUNNER_NO_REGISTRATION;
  }
  tflite::MicroProfilerInterface* profiler = request.profile ? new (marker_memory) Marker() : nullptr;
  auto* interpreter = new (interpreter_memory) tflite::MicroInterpreter(
      model, *resolver, reinterpret_cast<uint8_t*>(request.arena), request.arena_size, nullptr, profiler);
  report.state = RUNNER_STARTED;
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    return RUNNER_ALLOCATE_FAILED;
  }
  report.state = RUNNER_ALLOCATED;
  report.arena_used = interpreter->arena_used_bytes();
  report.inputs = interpreter->inputs_size();
  if (report.inputs != request.inputs || report.inputs > RUNNER_TENSORS) {
    return RUNNER_INPUTS_DIFFER;
  }
  for (uint32_t i = 0; i < report.inputs; i++) {
    TfLiteTensor* tensor = interpreter->input(i);
    report.input[i] = {reinterpret_cast<uint32_t>(tensor->data.raw), static_cast<uint32_t>(tensor->bytes)};
    memcpy(tensor->data.raw, reinterpret_cast<const void*>(request.input[i]), tensor->bytes);
  }
  report.operators = 0;  // those that prepared themselves are not of the inference
  runner_begin();
  TfLiteStatus status = interpreter->Invoke();
  runner_end();
  if (status != kTfLiteOk) {
    return RUNNER_INVOKE_FAILED;
  }
  report.outputs = interpreter->outputs_size();
  for (uint32_t i = 0; i < report.outputs && i < RUNNER_TENSORS; i++) {
    const TfLiteTensor* tensor = interpreter->output(i);
    report.output[i] = {reinterpret_cast<uint32_t>(tensor->data.raw), static_cast<uint32_t>(tensor->bytes)};
  }
  return RUNNER_FINISHED;
}

}  // namespace

// Nothing is ever deleted: a virtual destructor wants these all the same.
void operator delete(void*) noexcept {}
void operator delete(void*, unsigned) noexcept {}
extern "C" void __cxa_pure_virtual() {
  for (;;) {
  }
}

extern "C" int main() {
  runner_report& report = runner_report_block;
  memset(&report, 0, sizeof report);
  report.magic = RUNNER_MAGIC;
  report.state = run(report, runner_request_block);
  return 0;
}
