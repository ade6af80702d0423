#include "core/base/mem.h"
#include "core/net/weights.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Values of every tensor here: small whole numbers, exact in every dtype. */
enum { VALUES = 64 * 64 };
static float values[VALUES];

__attribute__((format(printf, 4, 5))) static void add(struct tensor_table *table, size_t rows,
                                                      size_t cols, const char *format, ...)
{
    struct tensor tensor = {.dtype = DTYPE_F32, .rank = cols ? 2 : 1, .shape = {rows, cols}};
    va_list args;
    va_start(args, format);
    vsnprintf(tensor.name, sizeof tensor.name, format, args);
    va_end(args);
    tensor.count = rows * (cols ? cols : 1);
    ck_assert_uint_le(tensor.count, VALUES);
    tensor.data = (const unsigned char *)values;
    ck_assert_int_eq(tensor_table_add(table, &tensor), 0);
}

static void add_layer(struct tensor_table *table, const char *prefix, int n, size_t out, size_t in)
{
    add(table, out, in, "%s%d.weight", prefix, n);
    add(table, out, 0, "%s%d.bias", prefix, n);
}

/* 2 numbers and time through 8 and 4 units, with the keys of torch.nn.Sequential. */
static struct tensor_table good_table(const char *prefix)
{
    struct tensor_table table = {0};
    add_layer(&table, prefix, 0, 8, 3);
    add_layer(&table, prefix, 2, 4, 8);
    add_layer(&table, prefix, 4, 2, 4);
    return table;
}

static struct net_spec stated_spec(void)
{
    return (struct net_spec){.activation = ACTIVATION_SELU,
                             .time = {.input = TIME_LAST, .scale = 1}};
}

static void assert_refused(struct tensor_table *table, const char *where, const char *words)
{
    struct net_spec spec = stated_spec(), before = spec;
    struct err err = {0};
    ck_assert_int_eq(weights_infer(&spec, table, &err), ERR_FORMAT);
    ck_assert_str_eq(err.where, where);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
    ck_assert_mem_eq(&spec, &before, sizeof spec);
    tensor_table_release(table);
}

START_TEST(layers_are_found_under_any_prefix)
{
    static const char *const prefixes[] = {"",        "net.",        "model.net.",
                                           "main.0.", "mlp.layers.", "module.v.2.net."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        struct tensor_table table = good_table(prefixes[i]);
        struct net_spec spec = stated_spec();
        add(&table, 5, 0, "optimizer.step");
        add_layer(&table, "ema.net.", 0, 1, 1);
        ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
        ck_assert_uint_eq(spec.dim, 2);
        ck_assert_uint_eq(spec.hidden_count, 2);
        ck_assert_uint_eq(spec.hidden[0], 8);
        ck_assert_uint_eq(spec.hidden[1], 4);
        ck_assert_int_eq(spec.activation, ACTIVATION_SELU);
        tensor_table_release(&table);
    }
}
END_TEST

START_TEST(layers_are_ordered_by_number_not_by_text)
{
    struct tensor_table table = {0};
    struct net_spec spec = stated_spec();
    add_layer(&table, "net.", 10, 2, 7);
    add_layer(&table, "net.", 2, 6, 5);
    add_layer(&table, "net.", 9, 7, 6);
    add_layer(&table, "net.", 0, 5, 3);
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    const size_t widths[] = {5, 6, 7};
    ck_assert_uint_eq(spec.hidden_count, 3);
    ck_assert_mem_eq(spec.hidden, widths, sizeof widths);
    tensor_table_release(&table);
}
END_TEST

START_TEST(time_features_are_not_dimensions_of_x)
{
    struct tensor_table table = {0};
    struct net_spec spec = stated_spec();
    spec.time = (struct time_spec){
        .input = TIME_SINUSOIDAL, .scale = 1, .frequency_count = 4, .max_period = 10000};
    add_layer(&table, "net.", 0, 6, 11);
    add_layer(&table, "net.", 2, 3, 6);
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    ck_assert_uint_eq(spec.dim, 3);
    tensor_table_release(&table);
}
END_TEST

START_TEST(a_scalar_potential_is_refused_by_name)
{
    struct tensor_table table = {0};
    add_layer(&table, "net.", 0, 8, 3);
    add_layer(&table, "net.", 2, 1, 8);
    assert_refused(&table, "net.2.weight",
                   "it looks like a scalar potential (action matching), whose gradient is the "
                   "drift. A velocity field needs as many outputs as x has dimensions.");
}
END_TEST

START_TEST(one_dimension_with_one_output_is_a_velocity)
{
    struct tensor_table table = {0};
    struct net_spec spec = stated_spec();
    add_layer(&table, "net.", 0, 8, 2);
    add_layer(&table, "net.", 2, 1, 8);
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    ck_assert_uint_eq(spec.dim, 1);
    tensor_table_release(&table);
}
END_TEST

START_TEST(outputs_that_are_not_x_are_refused)
{
    struct tensor_table table = {0};
    add_layer(&table, "net.", 0, 8, 3);
    add_layer(&table, "net.", 2, 5, 8);
    assert_refused(&table, "net.2.weight", "5 outputs, but x has 2 dimensions");
    table = (struct tensor_table){0};
    add_layer(&table, "net.", 0, 8, 1);
    add_layer(&table, "net.", 2, 1, 8);
    assert_refused(&table, "net.0.weight", "none is left for x");
}
END_TEST

START_TEST(layers_that_do_not_chain_are_refused)
{
    struct tensor_table table = {0};
    add_layer(&table, "net.", 0, 8, 3);
    add_layer(&table, "net.", 2, 2, 9);
    assert_refused(&table, "net.2.weight", "takes 9 inputs, and the layer before it has 8");
}
END_TEST

START_TEST(missing_halves_of_a_layer_are_refused)
{
    struct tensor_table table = good_table("net.");
    add(&table, 2, 2, "net.6.weight");
    assert_refused(&table, "net.6.weight", "no bias");
    table = good_table("net.");
    add(&table, 2, 0, "net.6.bias");
    assert_refused(&table, "net.6.bias", "no weight");
    table = (struct tensor_table){0};
    add(&table, 2, 0, "net.0.bias");
    add_layer(&table, "net.", 2, 2, 2);
    assert_refused(&table, "net.0.bias", "no weight");
}
END_TEST

START_TEST(other_tensors_are_refused)
{
    static const char *const names[] = {"net.frequencies", "weight",        "net.weight",
                                        "net.0.weights",   "net.00.weight", "net.x1.weight",
                                        "net.6.gamma",     ".weight",       "net.1234567.weight"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tensor_table table = good_table("net.");
        add(&table, 2, 2, "%s", names[i]);
        assert_refused(&table, names[i], "no part of an MLP");
    }
}
END_TEST

START_TEST(a_second_prefix_is_refused)
{
    struct tensor_table table = good_table("net.");
    add_layer(&table, "time_mlp.", 0, 2, 2);
    assert_refused(&table, "time_mlp.0.weight", "another prefix");
    table = good_table("net.");
    add_layer(&table, "nat.", 6, 2, 2);
    assert_refused(&table, "nat.6.weight", "another prefix");
}
END_TEST

START_TEST(a_tensor_that_comes_twice_is_refused)
{
    struct tensor_table table = good_table("net.");
    add(&table, 4, 8, "net.2.weight");
    assert_refused(&table, "net.2.weight", "twice");
}
END_TEST

START_TEST(wrong_ranks_and_shapes_are_refused)
{
    struct tensor_table table = good_table("net.");
    add(&table, 2, 0, "net.5.weight");
    add(&table, 2, 0, "net.5.bias");
    assert_refused(&table, "net.5.weight", "1 dimensions");
    table = good_table("net.");
    table.tensors[3].shape[0] = 5;
    assert_refused(&table, "net.2.bias", "one dimension of 4");
    table = good_table("net.");
    table.tensors[3].rank = 2;
    assert_refused(&table, "net.2.bias", "one dimension of 4");
    table = good_table("net.");
    table.tensors[0].shape[1] = 0;
    assert_refused(&table, "net.0.weight", "between 1 and");
    table = good_table("net.");
    table.tensors[0].shape[1] = LIMIT_LAYER_WIDTH + 1;
    assert_refused(&table, "net.0.weight", "between 1 and");
}
END_TEST

START_TEST(mixed_dtypes_are_refused)
{
    struct tensor_table table = good_table("net.");
    table.tensors[3].dtype = DTYPE_F16;
    assert_refused(&table, "net.2.bias", "F16");
    table = good_table("net.");
    table.tensors[2].dtype = DTYPE_BF16;
    assert_refused(&table, "net.2.weight", "BF16");
}
END_TEST

START_TEST(too_few_and_too_many_layers_are_refused)
{
    struct tensor_table table = {0};
    assert_refused(&table, "", "0 linear layers");
    add_layer(&table, "net.", 0, 2, 3);
    assert_refused(&table, "", "1 linear layers");
    for (int i = 0; i <= LIMIT_LAYERS + 1; i++)
        add_layer(&table, "net.", 2 * i, 3, 3);
    assert_refused(&table, "net.66.weight", "more than 33 layers");
}
END_TEST

START_TEST(a_dimension_past_the_limit_is_refused)
{
    struct tensor_table table = good_table("net.");
    struct net_spec spec = stated_spec();
    struct err err = {0};
    table.tensors[0].shape[1] = LIMIT_DIM + 2;
    table.tensors[4].shape[0] = table.tensors[5].shape[0] = LIMIT_DIM + 1;
    ck_assert_int_eq(weights_infer(&spec, &table, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "/network/dim");
    tensor_table_release(&table);
}
END_TEST

START_TEST(what_is_exported_loads_again)
{
    struct net_spec spec = stated_spec();
    struct tensor_table table = {0};
    struct net net;
    float params[8 * 4 + 5 * 8 + 9 * 2];
    struct net_spec whole = stated_spec();
    whole.dim = 2;
    whole.hidden_count = 2;
    whole.hidden[0] = 8;
    whole.hidden[1] = 4;
    size_t count = net_spec_parameters(&whole);
    ck_assert_uint_le(count, sizeof params / sizeof params[0]);
    net_randomize(params, &whole, 3);
    ck_assert_int_eq(weights_export(&table, "", &whole, params), 0);
    ck_assert_int_eq(weights_export(&table, "ema.", &whole, params), 0);
    ck_assert_ptr_nonnull(tensor_table_find(&table, "net.4.bias"));
    ck_assert_ptr_nonnull(tensor_table_find(&table, "ema.net.0.weight"));
    ck_assert_ptr_null(tensor_table_find(&table, "net.1.bias"));
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    ck_assert_int_eq(weights_load(&net, &spec, &table, NULL), 0);
    ck_assert_uint_eq(net.param_count, count);
    ck_assert_mem_eq(net.params, params, count * sizeof *params);
    ck_assert_ptr_nonnull(net.layers[2].weights);
    net_release(&net);
    tensor_table_release(&table);
}
END_TEST

START_TEST(loading_refuses_another_shape_and_values_that_are_no_weights)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 2e6f};
    struct tensor_table table = good_table("net.");
    struct net_spec spec = stated_spec(), other;
    struct net net;
    struct err err = {0};
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float bias[4] = {0, 0, 0, bad[i]};
        err = (struct err){0};
        table.tensors[3].data = (const unsigned char *)bias;
        ck_assert_int_eq(weights_load(&net, &spec, &table, &err), ERR_FORMAT);
        ck_assert_str_eq(err.where, "net.2.bias");
    }
    table.tensors[3].data = (const unsigned char *)values;
    other = spec;
    other.hidden[1] = 5;
    ck_assert_int_eq(weights_load(&net, &other, &table, NULL), ERR_FORMAT);
    other.hidden_count = 1;
    ck_assert_int_eq(weights_load(&net, &other, &table, NULL), ERR_FORMAT);
    tensor_table_release(&table);
}
END_TEST

START_TEST(loading_reports_that_memory_ran_out)
{
    struct tensor_table table = good_table("net.");
    struct net_spec spec = stated_spec();
    struct net net;
    ck_assert_int_eq(weights_infer(&spec, &table, NULL), 0);
    for (size_t after = 0; after < 7; after++) {
        struct err err = {0};
        mem_fail_after(after);
        ck_assert_int_eq(weights_load(&net, &spec, &table, &err), ERR_NOMEM);
        ck_assert_int_eq(err.code, ERR_NOMEM);
    }
    mem_fail_after(SIZE_MAX);
    ck_assert_int_eq(weights_load(&net, &spec, &table, NULL), 0);
    net_release(&net);
    tensor_table_release(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights");
    TCase *tests = tcase_create("weights");
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (float)(i % 7) - 3;
    tcase_add_test(tests, layers_are_found_under_any_prefix);
    tcase_add_test(tests, layers_are_ordered_by_number_not_by_text);
    tcase_add_test(tests, time_features_are_not_dimensions_of_x);
    tcase_add_test(tests, a_scalar_potential_is_refused_by_name);
    tcase_add_test(tests, one_dimension_with_one_output_is_a_velocity);
    tcase_add_test(tests, outputs_that_are_not_x_are_refused);
    tcase_add_test(tests, layers_that_do_not_chain_are_refused);
    tcase_add_test(tests, missing_halves_of_a_layer_are_refused);
    tcase_add_test(tests, other_tensors_are_refused);
    tcase_add_test(tests, a_second_prefix_is_refused);
    tcase_add_test(tests, a_tensor_that_comes_twice_is_refused);
    tcase_add_test(tests, wrong_ranks_and_shapes_are_refused);
    tcase_add_test(tests, mixed_dtypes_are_refused);
    tcase_add_test(tests, too_few_and_too_many_layers_are_refused);
    tcase_add_test(tests, a_dimension_past_the_limit_is_refused);
    tcase_add_test(tests, what_is_exported_loads_again);
    tcase_add_test(tests, loading_refuses_another_shape_and_values_that_are_no_weights);
    tcase_add_test(tests, loading_reports_that_memory_ran_out);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
