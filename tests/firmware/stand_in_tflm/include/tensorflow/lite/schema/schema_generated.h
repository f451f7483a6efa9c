#pragma once
#include <cstdint>
namespace tflite {
struct Model {
  uint32_t schema, needs, says, turns, wrong;
  uint32_t version() const { return schema; }
};
inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }
}  // namespace tflite
