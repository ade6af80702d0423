/* Known answers of the kernels of simd.h: the same bits in every variant, on every processor. */
#ifndef CORE_LINALG_SELF_TEST_H
#define CORE_LINALG_SELF_TEST_H

#include "core/base/err.h"
#include "core/linalg/simd.h"

#include <stddef.h>
#include <stdint.h>

/* Runs every kernel of a variant on known numbers: against scalar code, then bit by bit against a
   digest that all variants share. 0; ERR_INTERNAL, with a sentence that names the variant and what
   it computes wrong, or the digest that it has instead; ERR_NOMEM. */
int self_test_run(const struct simd_kernels *kernels, struct err *err);

/* Where a digest begins, and the digest with the bits of more numbers (FNV-1a, by words). */
#define SELF_TEST_BEGIN UINT64_C(0xcbf29ce484222325)
uint64_t self_test_digest(uint64_t digest, const float *values, size_t count);

#endif
