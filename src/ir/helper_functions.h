/* The C functions of helpers.def, which src/x86/helpers_*.c define. */
#ifndef IR_HELPER_FUNCTIONS_H
#define IR_HELPER_FUNCTIONS_H

#include <stdint.h>

#define HELPER_RESULT_V   void
#define HELPER_RESULT_I32 uint32_t
#define HELPER_RESULT_I64 uint64_t

#define HELPER_ARGUMENTS_V_V_V       void
#define HELPER_ARGUMENTS_I32_V_V     uint32_t
#define HELPER_ARGUMENTS_I64_V_V     uint64_t
#define HELPER_ARGUMENTS_I32_I32_V   uint32_t, uint32_t
#define HELPER_ARGUMENTS_I32_I64_V   uint32_t, uint64_t
#define HELPER_ARGUMENTS_I64_I32_V   uint64_t, uint32_t
#define HELPER_ARGUMENTS_I64_I64_V   uint64_t, uint64_t
#define HELPER_ARGUMENTS_I32_I32_I32 uint32_t, uint32_t, uint32_t
#define HELPER_ARGUMENTS_I32_I32_I64 uint32_t, uint32_t, uint64_t
#define HELPER_ARGUMENTS_I32_I64_I32 uint32_t, uint64_t, uint32_t
#define HELPER_ARGUMENTS_I32_I64_I64 uint32_t, uint64_t, uint64_t
#define HELPER_ARGUMENTS_I64_I32_I32 uint64_t, uint32_t, uint32_t
#define HELPER_ARGUMENTS_I64_I32_I64 uint64_t, uint32_t, uint64_t
#define HELPER_ARGUMENTS_I64_I64_I32 uint64_t, uint64_t, uint32_t
#define HELPER_ARGUMENTS_I64_I64_I64 uint64_t, uint64_t, uint64_t

#define HELPER(name, result, a, b, c, flags) HELPER_RESULT_##result helper_##name(HELPER_ARGUMENTS_##a##_##b##_##c);
#include "ir/helpers.def"
#undef HELPER

#endif
