#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/safetensors.h"
#include "tests/unit/proto/file.h"
#include "tests/unit/unit.h"

#include <string.h>

/* An exact copy of the bytes, so that AddressSanitizer sees every read past the end. */
static int read_copy(const void *bytes, size_t size, struct err *err)
{
    struct safetensors file;
    unsigned char *copy = mem_alloc(size, 1);
    *err = (struct err){0};
    memcpy(copy, bytes, size);
    int code = safetensors_read(&file, copy, size, err);
    ck_assert_int_eq(err->code, code);
    ck_assert(code == 0 || err->message[0]);
    if (code == 0)
        safetensors_release(&file);
    mem_free(copy);
    return code;
}

static void assert_refused(struct buf *bytes, const char *where, const char *message)
{
    struct err err;
    ck_assert_msg(read_copy(bytes->data, bytes->size, &err) == ERR_FORMAT, "%s", message);
    ck_assert_str_eq(err.where, where);
    ck_assert_str_eq(err.message, message);
}

static void assert_header_refused(const char *header, size_t bytes, const char *where,
                                  const char *message)
{
    struct buf file;
    buf_init(&file, 1 << 20);
    file_make(&file, header, bytes);
    assert_refused(&file, where, message);
    buf_release(&file);
}

#define ENTRY(shape, begin, end)                                                                   \
    "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

START_TEST(small_and_foreign_files_are_refused)
{
    struct buf file;
    buf_init(&file, 4096);
    for (size_t size = 0; size < 10; size++) {
        struct err err;
        ck_assert_int_eq(read_copy("\2\0\0\0\0\0\0\0{}", size, &err), ERR_FORMAT);
    }
    buf_append(&file, "PK\3\4\0\0\10\10\0\0\0\0", 12);
    assert_refused(&file, "",
                   "this is a PyTorch pickle or zip file; save the weights with "
                   "safetensors.torch.save_file(model.state_dict(), path) instead");
    buf_clear(&file);
    buf_append(&file, "\200\2ccollections\nOrderedDict", 26);
    assert_refused(&file, "",
                   "this is a PyTorch pickle or zip file; save the weights with "
                   "safetensors.torch.save_file(model.state_dict(), path) instead");
    buf_release(&file);
}
END_TEST

START_TEST(the_header_length_is_compared_before_it_is_added)
{
    static const uint64_t lengths[] = {19, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 4};
    struct buf file;
    buf_init(&file, 4096);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char message[160];
        buf_clear(&file);
        file_length(&file, lengths[i]);
        buf_text(&file, "{}                ");
        snprintf(message, sizeof message,
                 "its length is given as %llu bytes, but the file has only 18 more",
                 (unsigned long long)lengths[i]);
        assert_refused(&file, "header", message);
    }
    for (uint64_t length = 0; length < 2; length++) {
        buf_clear(&file);
        file_length(&file, length);
        buf_text(&file, "{}");
        assert_refused(&file, "header", "must be a JSON object that starts with {");
    }
    buf_release(&file);
}
END_TEST

START_TEST(a_header_over_its_limit_is_refused)
{
    struct buf file;
    buf_init(&file, 3 << 20);
    file_length(&file, LIMIT_HEADER_BYTES + 1);
    buf_char(&file, '{');
    while (file.size < LIMIT_HEADER_BYTES + 9)
        buf_char(&file, ' ');
    assert_refused(&file, "header", "may have at most 1048576 bytes, got 1048577");
    buf_release(&file);
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused_unread)
{
    struct safetensors file;
    struct err err = {0};
    size_t size = LIMIT_CHECKPOINT_BYTES + 1;
    ck_assert_int_eq(safetensors_read(&file, (const unsigned char *)"", size, &err), ERR_TOO_LARGE);
    ck_assert_str_eq(err.message, "a checkpoint may have at most 1073741824 bytes, got 1073741825");
}
END_TEST

START_TEST(the_header_is_strict_json)
{
    static const struct {
        const char *header, *where, *message;
    } cases[] = {
        {" {}", "header", "must be a JSON object that starts with {"},
        {"[]", "header", "must be a JSON object that starts with {"},
        {"{\"a\":", "header, line 1, column 5", "the text ends in the middle of a value"},
        {"{} x", "header, line 1, column 4", "something follows the end of the value"},
        {"{\"a\":{},\"a\":{}}", "header, line 1, column 11", "an object has the same key twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "header, line 1, column 27",
         "an object has the same key twice"},
        {"{\"\\u0000\":{}}", "header, line 1, column 9", "\\u0000 is not allowed in strings"},
        {"{\"\xff\":{}}", "header, line 1, column 2", "the text is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_header_refused(cases[i].header, 0, cases[i].where, cases[i].message);
    struct buf file;
    buf_init(&file, 8192);
    file_length(&file, 4);
    buf_append(&file, "{}\0\0", 4);
    assert_refused(&file, "header, line 1, column 3", "the text holds a NUL byte");
    buf_clear(&file);
    file_length(&file, 3000);
    for (int i = 0; i < 500; i++)
        buf_text(&file, "{\"a\":[");
    assert_refused(&file, "header, line 1, column 97", "values nest deeper than 32 levels");
    buf_release(&file);
}
END_TEST

START_TEST(names_are_plain_and_few)
{
    static const char message[] =
        "its name must have 1 to 256 characters out of A-Z a-z 0-9 . _ / -";
    assert_header_refused("{\"\":" ENTRY("[]", 0, 4) "}", 4, "tensor 1 of the header", message);
    assert_header_refused("{\"a\\nb\":" ENTRY("[]", 0, 4) "}", 4, "tensor 1 of the header",
                          message);
    assert_header_refused("{\"a b\":" ENTRY("[]", 0, 4) "}", 4, "tensor 1 of the header", message);
    char header[512];
    for (int length = 256; length < 258; length++) {
        struct buf file;
        struct err err;
        buf_init(&file, 4096);
        snprintf(header, sizeof header, "{\"%0*d\":" ENTRY("[]", 0, 4) "}", length, 7);
        file_make(&file, header, 4);
        ck_assert_int_eq(read_copy(file.data, file.size, &err), length > 256 ? ERR_FORMAT : 0);
        buf_release(&file);
    }
}
END_TEST

START_TEST(more_tensors_than_the_limit_are_refused)
{
    struct buf file, header;
    struct err err;
    buf_init(&file, 2 << 20);
    buf_init(&header, 1 << 20);
    for (int count = LIMIT_TENSORS; count <= LIMIT_TENSORS + 1; count++) {
        buf_clear(&header);
        buf_text(&header, "{");
        for (int i = 0; i < count; i++)
            buf_printf(&header, "%s\"t%d\":" ENTRY("[0]", 0, 0), i ? "," : "", i);
        buf_append(&header, "}", 2);
        file_make(&file, header.data, 0);
        ck_assert_int_eq(read_copy(file.data, file.size, &err),
                         count > LIMIT_TENSORS ? ERR_FORMAT : 0);
    }
    ck_assert_str_eq(err.message, "may list at most 4096 tensors, got 4097");
    buf_release(&header);
    buf_release(&file);
}
END_TEST

START_TEST(types_are_a_closed_list)
{
    static const struct {
        const char *dtype, *message;
    } cases[] = {
        {"\"F128\"", "dtype \"F128\" is not read; F32, F64, F16 and BF16 are"},
        {"\"\"", "dtype \"\" is not read; F32, F64, F16 and BF16 are"},
        {"\"I64\"", "dtype \"I64\" is not read; F32, F64, F16 and BF16 are"},
        {"\"f32\"", "dtype \"f32\" is not read; F32, F64, F16 and BF16 are"},
        {"7", "dtype must be a string, not a number"},
        {"null", "dtype must be a string, not null"},
    };
    char header[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":%s,\"shape\":[1],\"data_offsets\":[0,4]}}", cases[i].dtype);
        assert_header_refused(header, 4, "a", cases[i].message);
    }
    assert_header_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a",
                          "dtype is required");
    assert_header_refused(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"b\":1}}", 4, "a",
        "its entry in the header: unknown field; known are dtype, shape, "
        "data_offsets");
    assert_header_refused("{\"a\":[]}", 4, "a",
                          "its entry in the header: must be an object, not an array");
}
END_TEST

START_TEST(shapes_are_bounded_integers)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"{\"a\":" ENTRY("4", 0, 4) "}", "shape must be an array of integers"},
        {"{\"a\":" ENTRY("[-1]", 0, 4) "}", "shape[0] must be between 0 and 1073741824, got -1"},
        {"{\"a\":" ENTRY("[1.0]", 0, 4) "}",
         "shape[0] must be an integer, written without point or exponent, got 1"},
        {"{\"a\":" ENTRY("[1,1e3]", 0, 4) "}",
         "shape[1] must be an integer, written without point or exponent, got 1000"},
        {"{\"a\":" ENTRY("[\"1\"]", 0, 4) "}", "shape[0] must be an integer, not a string"},
        {"{\"a\":" ENTRY("[4294967296,4294967296]", 0, 0) "}",
         "shape[0] must be between 0 and 1073741824, got 4294967296"},
        {"{\"a\":" ENTRY("[0,9223372036854775807]", 0, 0) "}",
         "shape[1] must be between 0 and 1073741824, got 9223372036854775807"},
        {"{\"a\":" ENTRY("[2,9223372036854775807]", 0, 4) "}",
         "shape[1] must be between 0 and 1073741824, got 9223372036854775807"},
        {"{\"a\":" ENTRY("[1,1,1,1,1,1,1,1,1]", 0, 4) "}",
         "shape may have at most 8 dimensions, got 9"},
        {"{\"a\":" ENTRY("[1073741824,1073741824,1073741824]", 0, 0) "}",
         "shape has more elements than can be counted"},
        {"{\"a\":" ENTRY("[1073741824,1073741824,4]", 0, 0) "}",
         "data_offsets hold 0 bytes, which is not what dtype and shape ask for"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_header_refused(cases[i].header, 4, "a", cases[i].message);
}
END_TEST

START_TEST(offsets_agree_with_shape_and_file)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"{\"a\":" ENTRY("[1]", 4, 0) "}", "data_offsets end before they begin"},
        {"{\"a\":" ENTRY("[1]", 0, 3) "}",
         "data_offsets hold 3 bytes, which is not what dtype and shape ask for"},
        {"{\"a\":" ENTRY("[2]", 0, 8) "}",
         "data_offsets end at byte 8, but the file has 4 bytes of data: it is cut"},
        {"{\"a\":" ENTRY("[1]", -4, 0) "}",
         "data_offsets[0] must be between 0 and 1073741824, got -4"},
        {"{\"a\":" ENTRY("[1]", 0, 18446744073) "}",
         "data_offsets[1] must be between 0 and 1073741824, got 18446744073"},
        {"{\"a\":" ENTRY("[1]", 0, 4.0) "}",
         "data_offsets[1] must be an integer, written without point or exponent, got 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}",
         "data_offsets must be an array of two integers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}",
         "data_offsets must be an array of two integers"},
        {"{\"a\":" ENTRY("[0]", 4, 4) "}", "bytes before it belong to no tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_header_refused(cases[i].header, 4, "a", cases[i].message);
}
END_TEST

START_TEST(every_byte_belongs_to_one_tensor)
{
    assert_header_refused("{\"b\":" ENTRY("[1]", 8, 12) ",\"a\":" ENTRY("[1]", 0, 4) "}", 12, "b",
                          "bytes before it belong to no tensor");
    assert_header_refused("{\"b\":" ENTRY("[2]", 0, 8) ",\"a\":" ENTRY("[1]", 0, 4) "}", 8, "b",
                          "its bytes overlap those of another tensor");
    assert_header_refused("{\"a\":" ENTRY("[1]", 0, 4) "}", 5, "",
                          "the last 1 bytes of the file belong to no tensor");
    assert_header_refused("{}", 1, "", "the last 1 bytes of the file belong to no tensor");
}
END_TEST

START_TEST(metadata_holds_strings)
{
    assert_header_refused("{\"__metadata__\":7}", 0, "__metadata__",
                          "must be an object of strings");
    assert_header_refused("{\"__metadata__\":{\"format\":\"pt\",\"advect\":{}}}", 0, "__metadata__",
                          "must hold nothing but strings");
    struct buf file;
    struct safetensors read;
    struct err err = {0};
    buf_init(&file, 4096);
    file_make(&file, "{\"__metadata__\":{\"format\":\"pt\",\"advect\":\"{\\n}\"}}", 0);
    ck_assert_int_eq(safetensors_read(&read, (unsigned char *)file.data, file.size, &err), 0);
    ck_assert_str_eq(read.advect, "{\n}");
    safetensors_release(&read);
    buf_release(&file);
}
END_TEST

/* Two tensors, an empty one between them, and a text. */
static void write_sample(struct buf *out)
{
    static const unsigned char data[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const struct tensor tensors[] = {
        {"net.0.weight", DTYPE_F32, 2, {2, 2}, 4, data},
        {"net.0.none", DTYPE_F64, 1, {0}, 0, data},
        {"net.0.bias", DTYPE_F16, 1, {3}, 3, data + 16},
        {"scalar", DTYPE_BF16, 0, {0}, 1, data + 22},
    };
    struct tensor_table table = {0};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        ck_assert_int_eq(tensor_table_add(&table, &tensors[i]), 0);
    ck_assert_int_eq(safetensors_write(out, &table, "{\"a\":\"\xc3\xa9\"}"), 0);
    tensor_table_release(&table);
}

START_TEST(what_is_written_reads_back)
{
    struct buf out;
    struct safetensors file;
    struct err err = {0};
    buf_init(&out, 4096);
    write_sample(&out);
    ck_assert_int_eq(safetensors_read(&file, (unsigned char *)out.data, out.size, &err), 0);
    ck_assert_str_eq(file.advect, "{\"a\":\"\xc3\xa9\"}");
    ck_assert_uint_eq(file.table.count, 4);
    const struct tensor *weight = tensor_table_find(&file.table, "net.0.weight");
    ck_assert_uint_eq(weight->rank, 2);
    ck_assert_uint_eq(weight->count, 4);
    ck_assert_int_eq(weight->data[8], 9);
    ck_assert_uint_eq((size_t)(weight->data - (unsigned char *)out.data) % 8, 0);
    ck_assert_uint_eq(tensor_table_find(&file.table, "scalar")->count, 1);
    ck_assert_int_eq(tensor_table_find(&file.table, "net.0.bias")->dtype, DTYPE_F16);
    safetensors_release(&file);
    buf_release(&out);
}
END_TEST

START_TEST(no_prefix_of_a_file_is_a_file)
{
    struct buf out;
    struct err err;
    buf_init(&out, 4096);
    write_sample(&out);
    for (size_t size = 0; size < out.size; size++)
        ck_assert_int_eq(read_copy(out.data, size, &err), ERR_FORMAT);
    buf_char(&out, '\0');
    ck_assert_int_eq(read_copy(out.data, out.size, &err), ERR_FORMAT);
    buf_release(&out);
}
END_TEST

START_TEST(changed_bytes_never_break_the_reader)
{
    struct buf out;
    struct err err;
    size_t refused = 0;
    buf_init(&out, 4096);
    write_sample(&out);
    for (size_t i = 0; i < out.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            out.data[i] = (char)(out.data[i] ^ (1 << bit));
            refused += read_copy(out.data, out.size, &err) != 0;
            out.data[i] = (char)(out.data[i] ^ (1 << bit));
        }
    }
    ck_assert_uint_gt(refused, 8 * 200);
    buf_release(&out);
}
END_TEST

START_TEST(a_header_that_would_pass_its_limit_is_not_written)
{
    struct buf out;
    struct tensor_table none = {0};
    buf_init(&out, 4 << 20);
    char *text = mem_alloc(LIMIT_HEADER_BYTES + 1, 1);
    memset(text, 'x', LIMIT_HEADER_BYTES);
    text[LIMIT_HEADER_BYTES] = '\0';
    ck_assert_int_eq(safetensors_write(&out, &none, text), ERR_TOO_LARGE);
    ck_assert_uint_eq(out.size, 0);
    mem_free(text);
    ck_assert_int_eq(safetensors_write(&out, &none, NULL), 0);
    ck_assert_mem_eq(out.data, "\10\0\0\0\0\0\0\0{}      ", 16);
    buf_release(&out);
}
END_TEST

START_TEST(every_failed_allocation_is_reported)
{
    struct buf out, again;
    buf_init(&out, 4096);
    write_sample(&out);
    size_t failures = 0;
    for (int code = ERR_NOMEM; code == ERR_NOMEM; failures++) {
        struct safetensors file;
        struct err err = {0};
        mem_fail_after(failures);
        code = safetensors_read(&file, (unsigned char *)out.data, out.size, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert_int_eq(err.code, code);
        if (code == 0)
            safetensors_release(&file);
    }
    ck_assert_uint_ge(failures, 4);
    struct tensor_table none = {0};
    for (size_t after = 0; after < 2; after++) {
        buf_init(&again, 4096);
        mem_fail_after(after);
        ck_assert_int_eq(safetensors_write(&again, &none, NULL), ERR_NOMEM);
        mem_fail_after(SIZE_MAX);
        buf_release(&again);
    }
    buf_release(&out);
}
END_TEST

int main(void)
{
    json_start();
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, small_and_foreign_files_are_refused);
    tcase_add_test(tests, the_header_length_is_compared_before_it_is_added);
    tcase_add_test(tests, a_header_over_its_limit_is_refused);
    tcase_add_test(tests, a_file_over_the_limit_is_refused_unread);
    tcase_add_test(tests, the_header_is_strict_json);
    tcase_add_test(tests, names_are_plain_and_few);
    tcase_add_test(tests, more_tensors_than_the_limit_are_refused);
    tcase_add_test(tests, types_are_a_closed_list);
    tcase_add_test(tests, shapes_are_bounded_integers);
    tcase_add_test(tests, offsets_agree_with_shape_and_file);
    tcase_add_test(tests, every_byte_belongs_to_one_tensor);
    tcase_add_test(tests, metadata_holds_strings);
    tcase_add_test(tests, what_is_written_reads_back);
    tcase_add_test(tests, no_prefix_of_a_file_is_a_file);
    tcase_add_test(tests, changed_bytes_never_break_the_reader);
    tcase_add_test(tests, a_header_that_would_pass_its_limit_is_not_written);
    tcase_add_test(tests, every_failed_allocation_is_reported);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
