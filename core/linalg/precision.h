/* In which arithmetic a layer's products are done. Sums are float32 in each; "bf16x3" splits every
   operand into two bfloat16 parts and adds the three products that matter, "bf16" rounds operands
   to bfloat16. Results of the last two depend on the kernels that compute them. */
#ifndef CORE_LINALG_PRECISION_H
#define CORE_LINALG_PRECISION_H

#include <stdbool.h>

#define PRECISIONS(ROW)                                                                            \
    ROW(F32, "f32")                                                                                \
    ROW(BF16X3, "bf16x3")                                                                          \
    ROW(BF16, "bf16")

enum precision {
#define PRECISION_ROW(code, name) PRECISION_##code,
    PRECISIONS(PRECISION_ROW)
#undef PRECISION_ROW
        PRECISION_COUNT
};

/* Static; check()s the range. */
const char *precision_name(enum precision precision);
/* False when there is none of that name. */
bool precision_find(const char *name, enum precision *out);

#endif
