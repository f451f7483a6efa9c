        .arm
#include "count_arm.inc"
