#include "core/linalg/mat.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(blas_starts_and_computes_the_known_product)
{
    ck_assert_int_eq(mat_start(), 0);
    ck_assert_ptr_nonnull(strstr(mat_backend(), "OpenBLAS"));
}
END_TEST

START_TEST(strides_and_transposes_are_respected)
{
    float a[] = {1, 2, 99, 3, 4, 99, 5, 6, 99}; /* 3 x 2, stride 3 */
    float b[] = {1, 0, 2, 0, 1, 3};             /* 2 x 3 */
    float c[] = {0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 7};
    struct mat wide_a = {a, 3, 2, 3}, wide_c = {c, 3, 3, 4};
    mat_multiply(wide_c, wide_a, false, mat_view(b, 2, 3), false, false);
    const float expected[] = {1, 2, 8, 7, 3, 4, 18, 7, 5, 6, 28, 7};
    ck_assert_mem_eq(c, expected, sizeof c);

    float gram[4] = {100, 0, 0, 100};
    mat_multiply(mat_view(gram, 2, 2), wide_a, true, wide_a, false, true);
    const float expected_gram[] = {135, 44, 44, 156};
    ck_assert_mem_eq(gram, expected_gram, sizeof gram);

    float outer[9];
    mat_multiply(mat_view(outer, 3, 3), wide_a, false, wide_a, true, false);
    const float expected_outer[] = {5, 11, 17, 11, 25, 39, 17, 39, 61};
    ck_assert_mem_eq(outer, expected_outer, sizeof outer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mat");
    TCase *tests = tcase_create("mat");
    tcase_add_test(tests, blas_starts_and_computes_the_known_product);
    tcase_add_test(tests, strides_and_transposes_are_respected);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
