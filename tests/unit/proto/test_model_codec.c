#include "core/base/mem.h"
#include "core/net/weights.h"
#include "core/table/encode.h"
#include "proto/json.h"
#include "proto/model_codec.h"
#include "proto/safetensors.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#define PLAIN "{\"activation\": \"tanh\", \"time\": {\"input\": \"first\"}}"

static struct buf file;
static struct model model;
static struct model_config config;
static struct err err;

static void setup(void)
{
    buf_init(&file, 1 << 20);
    model = (struct model){0};
    config = (struct model_config){0};
}

static void teardown(void)
{
    buf_release(&file);
    model_release(&model);
    model_config_release(&config);
}

/* A network of 2 dimensions and 4 hidden units whose first weight is `first`. */
static void write_file(float first, const char *advect)
{
    struct net_spec spec = {
        .dim = 2,
        .activation = ACTIVATION_TANH,
        .time = {.input = TIME_FIRST, .scale = 1},
        .hidden_count = 1,
        .hidden = {4},
    };
    struct tensor_table table = {0};
    float params[26];
    net_randomize(params, &spec, 1);
    params[0] = first;
    ck_assert_uint_eq(net_spec_parameters(&spec), 26);
    ck_assert_int_eq(weights_export(&table, "model.", &spec, params), 0);
    buf_clear(&file);
    ck_assert_int_eq(safetensors_write(&file, &table, advect), 0);
    tensor_table_release(&table);
}

static int load(const char *sidecar)
{
    model_release(&model);
    model_config_release(&config);
    err = (struct err){0};
    return model_load(&model, &config, (unsigned char *)file.data, file.size, sidecar, &err);
}

static void assert_error(enum err_code code, const char *where, const char *message)
{
    ck_assert_int_eq(err.code, code);
    ck_assert_str_eq(err.where, where);
    ck_assert_ptr_nonnull(strstr(err.message, message));
}

START_TEST(what_is_written_loads_with_its_metadata)
{
    write_file(0.5f, "{\"activation\": \"tanh\", \"time\": {\"input\": \"first\"}, \"columns\": "
                     "[{\"name\": \"a\", \"kind\": \"numeric\", \"mean\": 1, \"std\": 2}, "
                     "{\"name\": \"b\", \"kind\": \"numeric\", \"mean\": 0, \"std\": 1}]}");
    ck_assert_msg(load(NULL) == 0, "%s", err.message);
    ck_assert(model.net.params[0] == 0.5f);
    ck_assert_uint_eq(model.spec.net.hidden[0], 4);
    ck_assert_uint_eq(config.schema.count, 2);
    ck_assert_str_eq(config.schema.columns[0].name, "a");
}
END_TEST

START_TEST(a_config_beside_the_file_serves_as_well)
{
    write_file(0.5f, NULL);
    ck_assert_int_eq(load(PLAIN), 0);
    ck_assert_uint_eq(config.schema.count, 2);
    ck_assert_str_eq(config.schema.columns[1].name, "x1");
    ck_assert_uint_eq(config.spec.net.dim, 2);
}
END_TEST

START_TEST(two_configs_must_agree)
{
    write_file(0.5f, PLAIN);
    ck_assert_int_eq(load(PLAIN), 0);
    ck_assert_int_eq(load("{}"), ERR_INVALID);
    assert_error(ERR_INVALID, "", "differs; leave the latter out");
}
END_TEST

START_TEST(broken_configs_say_where_they_stand)
{
    write_file(0.5f, "{");
    ck_assert_int_eq(load(NULL), ERR_FORMAT);
    assert_error(ERR_FORMAT, "metadata, line 1, column 1", "ends in the middle");
    write_file(0.5f, NULL);
    ck_assert_int_eq(load("{\"a\" 1}"), ERR_INVALID_JSON);
    assert_error(ERR_INVALID_JSON, "Advect-Config, line 1, column 6", "not JSON");
    ck_assert_int_eq(load(""), ERR_INVALID_JSON);
    assert_error(ERR_INVALID_JSON, "Advect-Config, line 1", "empty");
    ck_assert_int_eq(load("{\"time\": {\"input\": \"last\"}}"), ERR_INVALID);
    assert_error(ERR_INVALID, "/activation", "is required");
}
END_TEST

START_TEST(columns_must_fit_the_network)
{
    write_file(0.5f, NULL);
    load("{\"activation\": \"tanh\", \"time\": {\"input\": \"first\"}, \"columns\": "
         "[{\"name\": \"a\", \"kind\": \"categorical\", \"levels\": [{\"value\": \"x\"}, "
         "{\"value\": \"y\"}, {\"value\": \"z\"}]}]}");
    assert_error(ERR_INVALID, "/columns", "take 3 numbers a row, but the network has dimension 2");
}
END_TEST

START_TEST(columns_wider_than_any_network_are_refused)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_text(&text, "{\"activation\":\"tanh\",\"time\":{\"input\":\"first\"},\"columns\":[");
    for (int i = 0; i < 9; i++) {
        buf_printf(&text, "%s{\"name\":\"%d\",\"kind\":\"categorical\",\"levels\":[", i ? "," : "",
                   i);
        for (int j = 0; j < LIMIT_LEVELS; j++)
            buf_printf(&text, "%s{\"value\":\"%d\"}", j ? "," : "", j);
        buf_text(&text, "]}");
    }
    buf_text(&text, "]}");
    err = (struct err){0};
    ck_assert_int_eq(model_config_decode(&config, text.data, text.size, &err), ERR_INVALID);
    assert_error(ERR_INVALID, "/columns", "take 4608 numbers a row, at most 4096 may be");
    buf_release(&text);
}
END_TEST

START_TEST(a_weight_that_is_not_finite_is_named)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e7f};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(bad[i], PLAIN);
        ck_assert_int_eq(load(NULL), ERR_FORMAT);
        ck_assert_str_eq(err.where, "model.net.0.weight");
    }
}
END_TEST

START_TEST(a_file_that_is_cut_is_refused)
{
    write_file(0.5f, PLAIN);
    for (size_t size = 0; size < file.size; size++) {
        err = (struct err){0};
        ck_assert_int_eq(model_load(&model, &config, (unsigned char *)file.data, size, NULL, &err),
                         ERR_FORMAT);
    }
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    write_file(0.5f, PLAIN);
    int code = ERR_NOMEM;
    size_t after = 0;
    for (; code == ERR_NOMEM; after++) {
        mem_fail_after(after);
        code = load(NULL);
        mem_fail_after(SIZE_MAX);
        ck_assert_int_eq(err.code, code);
    }
    ck_assert_int_eq(code, 0);
    ck_assert_uint_gt(after, 10);
}
END_TEST

START_TEST(a_schema_survives_the_trip)
{
    struct schema schema, back;
    struct json_doc *doc;
    struct buf text;
    buf_init(&text, 4096);
    ck_assert_int_eq(schema_plain(&schema, 3), 0);
    schema.columns[1].decimals = 2;
    schema.columns[1].mean = 0.1;
    schema.columns[1].present = 5;
    schema.columns[1].missing = 2;
    schema_write(&text, &schema);
    ck_assert_int_eq(json_parse(&doc, text.data, text.size, 4096, &err), 0);
    ck_assert_int_eq(schema_read(&back, json_root(doc), &err), 0);
    ck_assert_uint_eq(back.count, 3);
    ck_assert_uint_eq(back.rows, 7);
    ck_assert_uint_eq(back.columns[0].decimals, DECIMALS_FREE);
    ck_assert_uint_eq(back.columns[1].decimals, 2);
    ck_assert(back.columns[1].mean == 0.1);
    json_free(doc);
    schema_release(&schema);
    schema_release(&back);
    buf_release(&text);
}
END_TEST

START_TEST(a_column_without_a_range_is_not_taken_for_a_constant)
{
    static const char text[] = "[{\"name\":\"a\",\"kind\":\"numeric\",\"present\":9,\"missing\":0,"
                               "\"mean\":0,\"std\":2}]";
    const float in = 1.5f;
    struct schema schema;
    struct json_doc *doc;
    struct cell cell;
    struct buf out;
    ck_assert_int_eq(json_parse(&doc, text, sizeof text - 1, sizeof text, &err), 0);
    ck_assert_int_eq(schema_read(&schema, json_root(doc), &err), 0);
    decode_row(&cell, &schema, &in);
    ck_assert(cell.number == 3);
    buf_init(&out, 4096);
    schema_write(&out, &schema);
    buf_char(&out, '\0');
    ck_assert_str_eq(out.data, text);
    json_free(doc);
    schema_release(&schema);
    buf_release(&out);
}
END_TEST

START_TEST(a_level_is_no_longer_than_in_a_table)
{
    struct buf text;
    struct schema schema;
    for (size_t length = LIMIT_LEVEL; length <= LIMIT_LEVEL + 1; length++) {
        struct json_doc *doc;
        buf_init(&text, 4096);
        buf_text(&text, "[{\"name\":\"a\",\"kind\":\"categorical\",\"levels\":[{\"value\":\"");
        for (size_t i = 0; i < length; i++)
            buf_char(&text, 'x');
        buf_text(&text, "\"}]}]");
        err = (struct err){0};
        ck_assert_int_eq(json_parse(&doc, text.data, text.size, text.size, &err), 0);
        int code = schema_read(&schema, json_root(doc), &err);
        ck_assert_int_eq(code, length > LIMIT_LEVEL ? ERR_INVALID : 0);
        if (code)
            assert_error(ERR_INVALID, "/0/levels/0/value", "at most 256 bytes");
        else
            schema_release(&schema);
        json_free(doc);
        buf_release(&text);
    }
}
END_TEST

int main(void)
{
    json_start();
    Suite *suite = suite_create("model_codec");
    TCase *tests = tcase_create("model_codec");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_loads_with_its_metadata);
    tcase_add_test(tests, a_config_beside_the_file_serves_as_well);
    tcase_add_test(tests, two_configs_must_agree);
    tcase_add_test(tests, broken_configs_say_where_they_stand);
    tcase_add_test(tests, columns_must_fit_the_network);
    tcase_add_test(tests, columns_wider_than_any_network_are_refused);
    tcase_add_test(tests, a_weight_that_is_not_finite_is_named);
    tcase_add_test(tests, a_file_that_is_cut_is_refused);
    tcase_add_test(tests, every_failed_allocation_is_reported);
    tcase_add_test(tests, a_schema_survives_the_trip);
    tcase_add_test(tests, a_column_without_a_range_is_not_taken_for_a_constant);
    tcase_add_test(tests, a_level_is_no_longer_than_in_a_table);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
