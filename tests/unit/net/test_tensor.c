#include "core/base/mem.h"
#include "core/net/tensor.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Copies the elements to an odd address, as a file may hold them there. */
static int read_one(enum dtype dtype, const void *element, float *out, struct err *err)
{
    unsigned char bytes[16];
    struct tensor tensor = {.name = "w", .dtype = dtype, .rank = 1, .shape = {1}, .count = 1};
    memcpy(bytes + 1, element, dtype_size(dtype));
    tensor.data = bytes + 1;
    return tensor_read(&tensor, out, err);
}

START_TEST(dtypes_have_the_names_and_sizes_of_safetensors)
{
    ck_assert_str_eq(dtype_name(DTYPE_F32), "F32");
    ck_assert_str_eq(dtype_name(DTYPE_F64), "F64");
    ck_assert_str_eq(dtype_name(DTYPE_F16), "F16");
    ck_assert_str_eq(dtype_name(DTYPE_BF16), "BF16");
    ck_assert_uint_eq(dtype_size(DTYPE_F32), 4);
    ck_assert_uint_eq(dtype_size(DTYPE_F64), 8);
    ck_assert_uint_eq(dtype_size(DTYPE_F16), 2);
    ck_assert_uint_eq(dtype_size(DTYPE_BF16), 2);
}
END_TEST

START_TEST(halves_become_the_floats_they_stand_for)
{
    static const struct {
        uint16_t bits;
        enum dtype dtype;
        float value;
    } known[] = {
        {0x0000, DTYPE_F16, 0.0f},       {0x8000, DTYPE_F16, -0.0f},
        {0x3c00, DTYPE_F16, 1.0f},       {0xc100, DTYPE_F16, -2.5f},
        {0x7bff, DTYPE_F16, 65504.0f},   {0x0400, DTYPE_F16, 0x1p-14f},
        {0x0001, DTYPE_F16, 0x1p-24f},   {0x83ff, DTYPE_F16, -0x1.ff8p-15f},
        {0x3f80, DTYPE_BF16, 1.0f},      {0xc020, DTYPE_BF16, -2.5f},
        {0x0001, DTYPE_BF16, 0x1p-133f}, {0x4973, DTYPE_BF16, 995328.0f},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        float value;
        ck_assert_int_eq(read_one(known[i].dtype, &known[i].bits, &value, NULL), 0);
        ck_assert_mem_eq(&value, &known[i].value, sizeof value);
    }
}
END_TEST

START_TEST(a_table_is_narrowed_to_what_stands_below_a_name)
{
    static const char *const names[] = {"ema.a.0", "emab.0", "ema", "model.a.0", "ema.b"};
    struct tensor_table table = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tensor tensor = {.rank = i};
        snprintf(tensor.name, sizeof tensor.name, "%s", names[i]);
        ck_assert_int_eq(tensor_table_add(&table, &tensor), 0);
    }
    ck_assert(tensor_table_narrow(&table, "ema"));
    ck_assert_uint_eq(table.count, 2);
    ck_assert_str_eq(table.tensors[0].name, "a.0");
    ck_assert_str_eq(table.tensors[1].name, "b");
    ck_assert_uint_eq(table.tensors[1].rank, 4);
    ck_assert(!tensor_table_narrow(&table, "c"));
    ck_assert_uint_eq(table.count, 0);
    tensor_table_release(&table);
}
END_TEST

START_TEST(floats_and_doubles_are_read_whole)
{
    const float single = -1.2345678f;
    const double wide = 1.0000000596046448;
    float value;
    ck_assert_int_eq(read_one(DTYPE_F32, &single, &value, NULL), 0);
    ck_assert_float_eq(value, single);
    ck_assert_int_eq(read_one(DTYPE_F64, &wide, &value, NULL), 0);
    ck_assert_float_eq(value, (float)wide);
}
END_TEST

static void assert_refused(enum dtype dtype, const void *element, const char *words)
{
    struct err err = {0};
    float value;
    ck_assert_int_eq(read_one(dtype, element, &value, &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, "w");
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
}

START_TEST(what_is_no_weight_is_refused)
{
    const float singles[] = {NAN, INFINITY, -INFINITY};
    const double doubles[] = {NAN, INFINITY, -INFINITY};
    const uint16_t halves[] = {0x7c01, 0x7c00, 0xfc00}, brains[] = {0x7f81, 0x7f80, 0xff80};
    for (int i = 0; i < 3; i++) {
        assert_refused(DTYPE_F32, &singles[i], "Element 0 of this tensor is not a finite number");
        assert_refused(DTYPE_F64, &doubles[i], "not a finite number");
        assert_refused(DTYPE_F16, &halves[i], "not a finite number");
        assert_refused(DTYPE_BF16, &brains[i], "not a finite number");
    }
    const float large = 1000001;
    const double huge = -1e300;
    assert_refused(DTYPE_F32, &large, "weights lie between");
    assert_refused(DTYPE_F64, &huge, "weights lie between");
    const float most = 1000000;
    float value;
    ck_assert_int_eq(read_one(DTYPE_F32, &most, &value, NULL), 0);
}
END_TEST

START_TEST(the_first_bad_element_is_named)
{
    const float elements[] = {1, 2, NAN, NAN};
    struct tensor tensor = {.name = "net.0.bias", .rank = 1, .shape = {4}, .count = 4};
    struct err err = {0};
    float out[4];
    tensor.data = (const unsigned char *)elements;
    ck_assert_int_eq(tensor_read(&tensor, out, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.message, "Element 2"));
}
END_TEST

START_TEST(a_table_grows_to_its_limit)
{
    struct tensor_table table = {0};
    struct tensor tensor = {.rank = 1};
    for (size_t i = 0; i < LIMIT_TENSORS; i++) {
        snprintf(tensor.name, sizeof tensor.name, "t%zu", i);
        if (tensor_table_add(&table, &tensor) != 0)
            ck_abort_msg("tensor %zu was not taken", i);
    }
    ck_assert_int_eq(tensor_table_add(&table, &tensor), ERR_TOO_LARGE);
    ck_assert_ptr_eq(tensor_table_find(&table, "t4095"), &table.tensors[4095]);
    ck_assert_ptr_null(tensor_table_find(&table, "t4096"));
    tensor_table_release(&table);
    tensor_table_release(&table);
}
END_TEST

START_TEST(a_table_that_cannot_grow_keeps_what_it_has)
{
    struct tensor_table table = {0};
    struct tensor tensor = {.name = "a", .rank = 1};
    ck_assert_int_eq(tensor_table_add(&table, &tensor), 0);
    mem_fail_after(0);
    ck_assert_int_eq(tensor_table_add(&table, &tensor), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_ptr_nonnull(tensor_table_find(&table, "a"));
    tensor_table_release(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *tests = tcase_create("tensor");
    tcase_add_test(tests, dtypes_have_the_names_and_sizes_of_safetensors);
    tcase_add_test(tests, halves_become_the_floats_they_stand_for);
    tcase_add_test(tests, a_table_is_narrowed_to_what_stands_below_a_name);
    tcase_add_test(tests, floats_and_doubles_are_read_whole);
    tcase_add_test(tests, what_is_no_weight_is_refused);
    tcase_add_test(tests, the_first_bad_element_is_named);
    tcase_add_test(tests, a_table_grows_to_its_limit);
    tcase_add_test(tests, a_table_that_cannot_grow_keeps_what_it_has);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
