        .thumb
#include "count_arm.inc"
