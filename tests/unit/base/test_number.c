#include "core/base/number.h"
#include "tests/unit/unit.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static bool read_text(const char *text, double *value)
{
    return number_read(text, strlen(text), value, NULL, NULL);
}

static const struct {
    const char *text;
    double value;
    size_t decimals;
    bool integer;
} accepted[] = {
    {"0", 0, 0, true},
    {"-0", -0.0, 0, true},
    {"007", 7, 0, true},
    {"+1", 1, 0, true},
    {"-12", -12, 0, true},
    {"1.5", 1.5, 1, false},
    {"-2.50", -2.5, 2, false},
    {".5", 0.5, 1, false},
    {"5.", 5, 0, false},
    {"-.25", -0.25, 2, false},
    {"1e3", 1000, SIZE_MAX, false},
    {"1E+3", 1000, SIZE_MAX, false},
    {"1.5e-3", 0.0015, SIZE_MAX, false},
    {"0e999", 0, SIZE_MAX, false},
    {"9007199254740993", 9007199254740992.0, 0, true},
    {"1.7976931348623157e308", 1.7976931348623157e308, SIZE_MAX, false},
    {"5e-324", 5e-324, SIZE_MAX, false},
    {"0.1", 0.1, 1, false},
};

static const char *const rejected[] = {
    "",      " ",      "1 ",     " 1",  "\t1",  "-",     "+",        ".",   "-.",     "e5",
    ".e5",   "1e",     "1e+",    "1e-", "--1",  "+-1",   "-+1",      "++1", "1.2.3",  "1,5",
    "1_0",   "0x10",   "1p3",    "inf", "-inf", "+inf",  "nan",      "NaN", "nan(1)", "infinity",
    "1e999", "-1e999", "1e-999", "1f",  "1.0L", "1e5.5", "\xd9\xa1", "1\n",
};

START_TEST(decimal_numbers_are_read)
{
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        double value = NAN;
        size_t decimals = 99;
        bool integer = !accepted[i].integer;
        const char *text = accepted[i].text;
        ck_assert_msg(number_read(text, strlen(text), &value, &decimals, &integer), "%s", text);
        ck_assert_mem_eq(&value, &accepted[i].value, sizeof value);
        ck_assert_uint_eq(decimals, accepted[i].decimals);
        ck_assert_int_eq(integer, accepted[i].integer);
    }
}
END_TEST

START_TEST(anything_else_is_refused_and_leaves_the_value)
{
    for (size_t i = 0; i < sizeof rejected / sizeof rejected[0]; i++) {
        double value = 42;
        ck_assert_msg(!read_text(rejected[i], &value), "%s", rejected[i]);
        ck_assert(value == 42);
    }
    double value;
    ck_assert(!number_read("1\0"
                           "2",
                           3, &value, NULL, NULL));
}
END_TEST

START_TEST(text_beyond_the_size_is_not_read)
{
    double value;
    ck_assert(number_read("12345", 2, &value, NULL, NULL));
    ck_assert(value == 12);
    char digits[1000];
    memset(digits, '9', sizeof digits);
    ck_assert(!number_read(digits, sizeof digits, &value, NULL, NULL));
    ck_assert(number_read(digits, 300, &value, NULL, NULL));
}
END_TEST

START_TEST(written_numbers_read_back_as_the_same_bits)
{
    uint64_t bits = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double value, again;
        memcpy(&value, &bits, sizeof value);
        float single, single_again;
        uint32_t high = (uint32_t)(bits >> 32);
        memcpy(&single, &high, sizeof single);
        char text[NUMBER_TEXT];
        if (isfinite(value)) {
            ck_assert(number_read(text, number_write_double(text, value), &again, NULL, NULL));
            ck_assert_mem_eq(&again, &value, sizeof value);
        }
        if (isfinite(single)) {
            ck_assert(number_read(text, number_write_float(text, single), &again, NULL, NULL));
            single_again = (float)again;
            ck_assert_mem_eq(&single_again, &single, sizeof single);
        }
    }
}
END_TEST

static void writes(double value, const char *expected)
{
    char text[NUMBER_TEXT + 1] = {0};
    text[number_write_double(text, value)] = 0;
    ck_assert_str_eq(text, expected);
}

START_TEST(text_is_short_and_plain)
{
    writes(0, "0");
    writes(100000, "100000");
    writes(0.1, "0.1");
    writes(-2.5, "-2.5");
    writes(0.0001, "0.0001");
    writes(1e22, "1e+22");
    writes(1e-7, "1e-07");
    writes(123456789012345.0, "123456789012345");
    char text[NUMBER_TEXT + 1] = {0};
    text[number_write_float(text, 0.1f)] = 0;
    ck_assert_str_eq(text, "0.1");
    text[number_write_integer(text, INT64_MIN)] = 0;
    ck_assert_str_eq(text, "-9223372036854775808");
}
END_TEST

START_TEST(a_comma_locale_changes_nothing)
{
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is not installed this repeats the C locale */
    double value = 0;
    ck_assert(read_text("1.5", &value));
    ck_assert(value == 1.5);
    ck_assert(!read_text("1,5", &value));
    writes(1.5, "1.5");
    setlocale(LC_ALL, "C");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("number");
    TCase *tests = tcase_create("number");
    tcase_add_test(tests, decimal_numbers_are_read);
    tcase_add_test(tests, anything_else_is_refused_and_leaves_the_value);
    tcase_add_test(tests, text_beyond_the_size_is_not_read);
    tcase_add_test(tests, written_numbers_read_back_as_the_same_bits);
    tcase_add_test(tests, text_is_short_and_plain);
    tcase_add_test(tests, a_comma_locale_changes_nothing);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
