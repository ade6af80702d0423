#include "core/base/mem.h"
#include "core/net/weights.h"
#include "proto/json.h"
#include "proto/model_codec.h"
#include "proto/safetensors.h"
#include "proto/torch_file.h"
#include "tests/unit/proto/zip.h"
#include "tests/unit/unit.h"

#include <string.h>

#define CONFIG(more) "{\"activation\": \"selu\", \"time\": {\"input\": \"last\"}" more "}"
#define BYTES(text) text, sizeof text - 1
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n("
#define STORAGE                                                                                    \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                             \
    "0X\3\0\0\0cpu"

static void read_golden(struct buf *out, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_ROOT "/tests/golden/torch/%s/file.pt", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file, "%s", path);
    buf_init(out, 1 << 16);
    out->size = fread(buf_reserve(out, 1 << 16), 1, 1 << 16, file);
    fclose(file);
}

/* From an exact copy, so that AddressSanitizer sees every read past the end. */
static int read_copy(struct torch_file *out, const void *bytes, size_t size, const char *weights,
                     struct err *err)
{
    unsigned char *copy = mem_alloc(size, 1);
    memcpy(copy, bytes, size);
    *err = (struct err){0};
    int code = torch_file_read(out, copy, size, weights, err);
    ck_assert_int_eq(err->code, code);
    ck_assert(code == 0 || err->message[0]);
    mem_free(copy);
    return code;
}

static void assert_refused(const struct buf *bytes, const char *weights, enum err_code code,
                           const char *message)
{
    struct torch_file file;
    struct err err;
    ck_assert_int_eq(read_copy(&file, bytes->data, bytes->size, weights, &err), code);
    ck_assert_msg(strstr(err.message, message), "%s: %s", err.where, err.message);
}

/* The first weight of the set that was chosen, and its name. */
static double first_value(const struct buf *bytes, const char *weights, const char *name)
{
    struct torch_file file;
    struct err err;
    float value[12];
    ck_assert_msg(read_copy(&file, bytes->data, bytes->size, weights, &err) == 0, "%s",
                  err.message);
    ck_assert_uint_eq(file.table.count, 4);
    ck_assert_str_eq(file.table.tensors[0].name, name);
    ck_assert_int_eq(tensor_read(&file.table.tensors[0], value, &err), 0);
    torch_file_release(&file);
    return (double)value[0];
}

START_TEST(one_of_several_sets_of_weights_is_chosen_by_its_name)
{
    struct buf bytes;
    read_golden(&bytes, "invalid/several_sets");
    ck_assert_double_eq(first_value(&bytes, "model", "model.net.0.weight"), -0.578125);
    ck_assert_double_eq(first_value(&bytes, "ema", "ema.net.0.weight"), -0.2890625);
    assert_refused(&bytes, NULL, ERR_INVALID, "with a name out of model, ema");
    assert_refused(&bytes, "", ERR_INVALID, "with a name out of model, ema");
    assert_refused(&bytes, "em", ERR_INVALID, "it has those of model, ema");
    assert_refused(&bytes, "ema.net.0.weight", ERR_INVALID, "it has those of model, ema");
    buf_release(&bytes);
}
END_TEST

START_TEST(a_set_within_a_flat_state_dict_is_chosen_by_its_prefix)
{
    struct buf bytes;
    read_golden(&bytes, "valid/prefixes");
    ck_assert_double_eq(first_value(&bytes, "_orig_mod", "_orig_mod.module.net.0.weight"),
                        -0.578125);
    ck_assert_double_eq(first_value(&bytes, "_orig_mod.module", "_orig_mod.module.net.0.weight"),
                        -0.578125);
    assert_refused(&bytes, "ema", ERR_INVALID, "it has those of _orig_mod");
    buf_release(&bytes);
}
END_TEST

START_TEST(many_choices_are_not_all_listed)
{
    struct zip_maker zip;
    struct buf pickle;
    buf_init(&pickle, 1 << 16);
    buf_text(&pickle, "\x80\x02}(");
    for (char name = 'a'; name <= 'z'; name++) {
        buf_append(&pickle, BYTES("X\x0c\0\0\0"));
        for (int i = 0; i < 12; i++)
            buf_char(&pickle, name);
        buf_append(&pickle, BYTES("}X\1\0\0\0w" REBUILD "NK\0K\1K\1\x86K\1K\1\x86tRs"));
    }
    buf_text(&pickle, "u.");
    zip_begin(&zip);
    zip_add(&zip, "archive/data.pkl", pickle.data, pickle.size);
    zip_end(&zip);
    assert_refused(&zip.file, NULL, ERR_INVALID, "out of aaaaaaaaaaaa, bbbbbbbbbbbb, ");
    assert_refused(&zip.file, NULL, ERR_INVALID, "kkkkkkkkkkkk, ..");
    buf_release(&pickle);
    buf_release(&zip.file);
}
END_TEST

/* A dict of `count` tensors of 1 by `extent` on one storage. */
static void make_tensors(struct zip_maker *zip, unsigned count, uint32_t extent)
{
    struct buf pickle;
    buf_init(&pickle, LIMIT_PICKLE_BYTES);
    buf_text(&pickle, "\x80\x02}(");
    for (unsigned i = 0; i < count; i++) {
        buf_append(&pickle, BYTES("X\5\0\0\0"));
        buf_printf(&pickle, "t%04u", i % 10000);
        buf_append(&pickle, BYTES(REBUILD STORAGE "J"));
        zip_number(&pickle, extent, 4);
        buf_append(&pickle, BYTES("tQK\0K\1J"));
        zip_number(&pickle, extent, 4);
        buf_append(&pickle, BYTES("\x86J"));
        zip_number(&pickle, extent, 4);
        buf_append(&pickle, BYTES("K\1\x86tR"));
    }
    buf_text(&pickle, "u.");
    zip_begin(zip);
    zip_add(zip, "archive/data.pkl", pickle.data, pickle.size);
    buf_release(&pickle);
}

static int read_tensors(unsigned count, uint32_t extent, const char *message)
{
    struct zip_maker zip;
    struct torch_file file;
    struct err err;
    char *zeros = mem_zalloc(extent, sizeof(float));
    make_tensors(&zip, count, extent);
    zip_add(&zip, "archive/data/0", zeros, extent * sizeof(float));
    zip_end(&zip);
    int code = read_copy(&file, zip.file.data, zip.file.size, NULL, &err);
    if (code)
        ck_assert_msg(strstr(err.message, message), "%s: %s", err.where, err.message);
    else
        torch_file_release(&file);
    buf_release(&zip.file);
    mem_free(zeros);
    return code;
}

START_TEST(more_tensors_than_the_limit_are_refused)
{
    ck_assert_int_eq(read_tensors(LIMIT_TENSORS, 1, ""), 0);
    ck_assert_int_eq(read_tensors(LIMIT_TENSORS + 1, 1, "at most 4096 tensors"), ERR_TOO_LARGE);
}
END_TEST

START_TEST(more_names_than_the_limit_are_refused)
{
    ck_assert_int_eq(read_tensors(LIMIT_ARCHIVE_ENTRIES + 1, 1, "name at most 16448 tensors"),
                     ERR_TOO_LARGE);
}
END_TEST

START_TEST(tensors_that_share_their_storage_are_counted_each)
{
    ck_assert_int_eq(read_tensors(1024, 1u << 18, ""), 0);
    ck_assert_int_eq(read_tensors(1025, 1u << 18, "more than 1073741824 bytes together"),
                     ERR_TOO_LARGE);
}
END_TEST

START_TEST(an_archive_with_more_entries_than_the_limit_is_refused)
{
    for (unsigned more = 0; more < 2; more++) {
        struct zip_maker zip;
        char name[32];
        zip_begin(&zip);
        for (unsigned i = 0; i < LIMIT_ARCHIVE_ENTRIES + more; i++) {
            snprintf(name, sizeof name, "archive/%u", i);
            zip_add(&zip, name, "", 0);
        }
        zip_end(&zip);
        if (more)
            assert_refused(&zip.file, NULL, ERR_TOO_LARGE, "at most 16448 entries, got 16449");
        else
            assert_refused(&zip.file, NULL, ERR_FORMAT, "no data.pkl");
        buf_release(&zip.file);
    }
}
END_TEST

START_TEST(a_pickle_over_the_limit_is_refused_by_what_the_archive_says)
{
    struct zip_maker zip;
    char *zeros = mem_zalloc(LIMIT_PICKLE_BYTES + 1, 1);
    zip_begin(&zip);
    zip_add(&zip, "archive/data.pkl", zeros, LIMIT_PICKLE_BYTES + 1);
    zip_end(&zip);
    assert_refused(&zip.file, NULL, ERR_TOO_LARGE, "at most 16777216 bytes, got 16777217");
    buf_release(&zip.file);
    mem_free(zeros);
}
END_TEST

START_TEST(every_prefix_of_a_file_is_refused)
{
    struct buf bytes;
    read_golden(&bytes, "valid/module");
    for (size_t size = 0; size < bytes.size; size++) {
        struct torch_file file;
        struct err err;
        ck_assert_int_eq(read_copy(&file, bytes.data, size, NULL, &err), ERR_FORMAT);
    }
    buf_release(&bytes);
}
END_TEST

/* Looks at every byte of every tensor. */
static void touch(const struct torch_file *file)
{
    unsigned char seen = 0;
    for (size_t i = 0; i < file->table.count; i++) {
        const struct tensor *tensor = &file->table.tensors[i];
        for (size_t j = 0; j < tensor->count * dtype_size(tensor->dtype); j++)
            seen ^= tensor->data[j];
    }
    ck_assert_int_ge(seen, 0);
}

START_TEST(a_file_with_any_byte_changed_is_read_or_refused)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff};
    struct buf bytes;
    read_golden(&bytes, "valid/views");
    for (size_t i = 0; i < bytes.size * sizeof changes; i++) {
        char *byte = &bytes.data[i / sizeof changes];
        struct torch_file file;
        struct err err;
        *byte = (char)(*byte ^ changes[i % sizeof changes]);
        if (read_copy(&file, bytes.data, bytes.size, NULL, &err) == 0) {
            touch(&file);
            torch_file_release(&file);
        }
        *byte = (char)(*byte ^ changes[i % sizeof changes]);
    }
    buf_release(&bytes);
}
END_TEST

/* What is stored in the place of a golden file, and the model that it loads as. */
static int convert(struct buf *out, const char *name, const char *sidecar, struct err *err)
{
    struct buf bytes;
    *err = (struct err){0};
    read_golden(&bytes, name);
    buf_init(out, 1 << 20);
    int code = model_convert(out, (unsigned char *)bytes.data, bytes.size, sidecar, err);
    ck_assert_int_eq(err->code, code);
    buf_release(&bytes);
    return code;
}

static double load_first_weight(const struct buf *converted)
{
    struct model model;
    struct model_config config;
    struct err err = {0};
    ck_assert_msg(model_load(&model, &config, (unsigned char *)converted->data, converted->size,
                             NULL, &err) == 0,
                  "%s: %s", err.where, err.message);
    double weight = (double)model.net.params[net_spec_weight_offset(&model.net.spec, 0)];
    ck_assert_uint_eq(model.spec.net.dim, 2);
    model_release(&model);
    model_config_release(&config);
    return weight;
}

START_TEST(a_converted_file_loads_with_the_config_in_its_metadata)
{
    static const char *const names[] = {"valid/state_dict",     "valid/module",  "valid/lightning",
                                        "valid/with_optimizer", "valid/half",    "valid/bfloat16",
                                        "valid/double",         "valid/prefixes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf converted;
        struct safetensors file;
        struct err err;
        ck_assert_msg(convert(&converted, names[i], CONFIG(""), &err) == 0, "%s", err.message);
        ck_assert_int_eq(
            safetensors_read(&file, (unsigned char *)converted.data, converted.size, &err), 0);
        ck_assert_str_eq(file.advect, CONFIG(""));
        safetensors_release(&file);
        ck_assert_double_eq(load_first_weight(&converted), -0.578125);
        buf_release(&converted);
    }
}
END_TEST

START_TEST(the_choice_of_weights_stays_with_the_converted_file)
{
    struct buf converted;
    struct err err;
    ck_assert_int_eq(
        convert(&converted, "invalid/several_sets", CONFIG(", \"weights\": \"ema\""), &err), 0);
    ck_assert_double_eq(load_first_weight(&converted), -0.2890625);
    buf_release(&converted);
    ck_assert_int_eq(
        convert(&converted, "invalid/several_sets", CONFIG(", \"weights\": \"x\""), &err),
        ERR_INVALID);
    ck_assert_str_eq(err.where, "/weights");
    buf_release(&converted);
}
END_TEST

START_TEST(without_a_good_config_nothing_is_converted)
{
    static const struct {
        const char *sidecar;
        int code;
        const char *where, *message;
    } cases[] = {
        {NULL, ERR_INVALID, "", "Advect-Config"},
        {"{", ERR_INVALID_JSON, "Advect-Config", ""},
        {"{\"activation\": \"selu\"}", ERR_INVALID, "/time", ""},
        {CONFIG(", \"weights\": 7"), ERR_INVALID, "/weights", "must be a string"},
        {CONFIG(", \"weights\": \"\""), ERR_INVALID, "/weights", "must be the name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf converted;
        struct err err;
        ck_assert_int_eq(convert(&converted, "valid/module", cases[i].sidecar, &err),
                         cases[i].code);
        ck_assert_ptr_nonnull(strstr(err.where, cases[i].where));
        ck_assert_msg(strstr(err.message, cases[i].message), "%s", err.message);
        ck_assert_uint_eq(converted.size, 0);
        buf_release(&converted);
    }
}
END_TEST

START_TEST(a_set_of_weights_is_chosen_in_safetensors_too)
{
    struct buf file;
    struct tensor_table table = {0};
    struct net_spec spec = {.dim = 2, .hidden = {4}, .hidden_count = 1};
    float params[64] = {0.5f}, average[64] = {0.25f};
    static const char *const sidecars[] = {CONFIG(", \"weights\": \"model\""),
                                           CONFIG(", \"weights\": \"ema\""),
                                           CONFIG(", \"weights\": \"emo\"")};
    spec.time.input = TIME_LAST;
    ck_assert_int_eq(weights_export(&table, "model.", &spec, params), 0);
    ck_assert_int_eq(weights_export(&table, "ema.", &spec, average), 0);
    for (int i = 0; i < 2; i++) {
        buf_init(&file, 1 << 16);
        ck_assert_int_eq(safetensors_write(&file, &table, sidecars[i]), 0);
        ck_assert_double_eq(load_first_weight(&file), i ? 0.25 : 0.5);
        buf_release(&file);
    }
    struct model model;
    struct model_config config;
    struct err err = {0};
    buf_init(&file, 1 << 16);
    safetensors_write(&file, &table, sidecars[2]);
    ck_assert_int_eq(model_load(&model, &config, (unsigned char *)file.data, file.size, NULL, &err),
                     ERR_INVALID);
    ck_assert_str_eq(err.where, "/weights");
    buf_release(&file);
    tensor_table_release(&table);
}
END_TEST

int main(void)
{
    json_start();
    Suite *suite = suite_create("torch_file");
    TCase *tests = tcase_create("torch_file");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_of_several_sets_of_weights_is_chosen_by_its_name);
    tcase_add_test(tests, a_set_within_a_flat_state_dict_is_chosen_by_its_prefix);
    tcase_add_test(tests, many_choices_are_not_all_listed);
    tcase_add_test(tests, more_tensors_than_the_limit_are_refused);
    tcase_add_test(tests, more_names_than_the_limit_are_refused);
    tcase_add_test(tests, tensors_that_share_their_storage_are_counted_each);
    tcase_add_test(tests, an_archive_with_more_entries_than_the_limit_is_refused);
    tcase_add_test(tests, a_pickle_over_the_limit_is_refused_by_what_the_archive_says);
    tcase_add_test(tests, every_prefix_of_a_file_is_refused);
    tcase_add_test(tests, a_file_with_any_byte_changed_is_read_or_refused);
    tcase_add_test(tests, a_converted_file_loads_with_the_config_in_its_metadata);
    tcase_add_test(tests, the_choice_of_weights_stays_with_the_converted_file);
    tcase_add_test(tests, without_a_good_config_nothing_is_converted);
    tcase_add_test(tests, a_set_of_weights_is_chosen_in_safetensors_too);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
