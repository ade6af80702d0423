#include "core/linalg/precision.h"

#include "tests/unit/unit.h"

START_TEST(every_precision_is_found_by_its_name)
{
    for (int i = 0; i < PRECISION_COUNT; i++) {
        enum precision found = PRECISION_COUNT;
        ck_assert(precision_find(precision_name((enum precision)i), &found));
        ck_assert_int_eq(found, i);
    }
    ck_assert_str_eq(precision_name(PRECISION_F32), "f32");
}
END_TEST

START_TEST(what_is_no_precision_is_not_found)
{
    static const char *const names[] = {"", "f3", "f322", "F32", "bf16x", "bf16x2", "fp16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum precision found = PRECISION_BF16;
        ck_assert(!precision_find(names[i], &found));
        ck_assert_int_eq(found, PRECISION_BF16);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("precision");
    TCase *tests = tcase_create("precision");
    tcase_add_test(tests, every_precision_is_found_by_its_name);
    tcase_add_test(tests, what_is_no_precision_is_not_found);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
