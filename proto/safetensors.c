/* The order of the checks, each before anything trusts what it guards: size and header length; the
   header as strict JSON; names and count; type; shape and its product; offsets against the shape;
   the offsets of all tensors against each other and against the end of the file, so that every byte
   belongs to exactly one tensor. */
#include "proto/safetensors.h"

#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8, /* the header's length, little-endian */
    FILE_BYTES_MIN = LENGTH_BYTES + 2,
    ALIGNMENT = 8, /* of the data in files that are written here */
    FIELD_TEXT = 48,
};

/* The bytes behind the header. */
struct payload {
    const unsigned char *data;
    size_t size;
};

static uint64_t read_length(const unsigned char *bytes)
{
    uint64_t length = 0;
    for (size_t i = LENGTH_BYTES; i > 0; i--)
        length = length << 8 | bytes[i - 1];
    return length;
}

/* PyTorch's own files are zip archives or pickles, which may hold code. */
static bool is_pickle(const unsigned char *bytes)
{
    return memcmp(bytes, "PK\x03\x04", 4) == 0 || (bytes[0] == 0x80 && bytes[1] < 6);
}

static int check_frame(const unsigned char *bytes, size_t size, size_t *header_size,
                       struct err *err)
{
    if (size < FILE_BYTES_MIN)
        return err_set(err, ERR_FORMAT, "", "a safetensors file has at least %d bytes, got %zu",
                       FILE_BYTES_MIN, size);
    if (size > LIMIT_CHECKPOINT_BYTES)
        return err_set(err, ERR_TOO_LARGE, "", "a checkpoint may have at most %llu bytes, got %zu",
                       LIMIT_CHECKPOINT_BYTES, size);
    uint64_t length = read_length(bytes);
    uint64_t room = size - LENGTH_BYTES;
    if ((length > room || length > LIMIT_HEADER_BYTES) && is_pickle(bytes))
        return err_set(err, ERR_FORMAT, "",
                       "this is a PyTorch pickle or zip file; save the weights with "
                       "safetensors.torch.save_file(model.state_dict(), path) instead");
    if (length > room)
        return err_set(err, ERR_FORMAT, "header",
                       "its length is given as %llu bytes, but the file has only %llu more",
                       (unsigned long long)length, (unsigned long long)room);
    if (length > LIMIT_HEADER_BYTES)
        return err_set(err, ERR_FORMAT, "header", "may have at most %u bytes, got %llu",
                       LIMIT_HEADER_BYTES, (unsigned long long)length);
    if (length < 2 || bytes[LENGTH_BYTES] != '{')
        return err_set(err, ERR_FORMAT, "header", "must be a JSON object that starts with {");
    *header_size = (size_t)length;
    return 0;
}

static bool is_tensor_name(const char *name)
{
    size_t length = 0;
    for (; name[length]; length++) {
        char c = name[length];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (length == LIMIT_TENSOR_NAME || !(plain || (c && strchr("._/-", c))))
            return false;
    }
    return length > 0;
}

/* Turns an error of the JSON below an entry into one of the tensor. */
static int field_error(const struct tensor *tensor, const char *field, const struct err *cause,
                       struct err *err)
{
    return err_set(err, ERR_FORMAT, tensor->name, "%s %s", field, cause->message);
}

static int read_dtype(struct tensor *tensor, struct json entry, struct err *err)
{
    const char *name;
    struct err cause = {0};
    if (json_read_string(json_get(entry, "dtype"), FIELD_TEXT, &name, &cause))
        return field_error(tensor, "dtype", &cause, err);
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        if (strcmp(name, dtype_name((enum dtype)dtype)) == 0) {
            tensor->dtype = (enum dtype)dtype;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, tensor->name,
                   "dtype \"%s\" is not read; F32, F64, F16 and BF16 are", name);
}

static int read_shape(struct tensor *tensor, struct json entry, struct err *err)
{
    struct json shape = json_get(entry, "shape");
    if (!json_is_array(shape))
        return err_set(err, ERR_FORMAT, tensor->name, "shape must be an array of integers");
    tensor->rank = json_length(shape);
    if (tensor->rank > LIMIT_TENSOR_RANK)
        return err_set(err, ERR_FORMAT, tensor->name,
                       "shape may have at most %d dimensions, got %zu", LIMIT_TENSOR_RANK,
                       tensor->rank);
    tensor->count = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        int64_t extent;
        struct err cause = {0};
        char field[FIELD_TEXT];
        snprintf(field, sizeof field, "shape[%zu]", i);
        if (json_read_integer(json_at(shape, i), 0, (int64_t)LIMIT_CHECKPOINT_BYTES, &extent,
                              &cause))
            return field_error(tensor, field, &cause, err);
        tensor->shape[i] = (size_t)extent;
        if (!mem_size_mul(tensor->count, tensor->shape[i], &tensor->count))
            return err_set(err, ERR_FORMAT, tensor->name,
                           "shape has more elements than can be counted");
    }
    return 0;
}

/* Reads data_offsets and, once they agree with the shape and the file, sets the data. */
static int read_offsets(struct tensor *tensor, struct json entry, struct payload payload,
                        struct err *err)
{
    struct json offsets = json_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_length(offsets) != 2)
        return err_set(err, ERR_FORMAT, tensor->name,
                       "data_offsets must be an array of two integers");
    int64_t at[2];
    for (size_t i = 0; i < 2; i++) {
        struct err cause = {0};
        if (json_read_integer(json_at(offsets, i), 0, (int64_t)LIMIT_CHECKPOINT_BYTES, &at[i],
                              &cause))
            return field_error(tensor, i == 0 ? "data_offsets[0]" : "data_offsets[1]", &cause, err);
    }
    size_t begin = (size_t)at[0], end = (size_t)at[1], bytes;
    if (begin > end)
        return err_set(err, ERR_FORMAT, tensor->name, "data_offsets end before they begin");
    if (end > payload.size)
        return err_set(
            err, ERR_FORMAT, tensor->name,
            "data_offsets end at byte %zu, but the file has %zu bytes of data: it is cut", end,
            payload.size);
    if (!mem_size_mul(tensor->count, dtype_size(tensor->dtype), &bytes) || bytes != end - begin)
        return err_set(err, ERR_FORMAT, tensor->name,
                       "data_offsets hold %zu bytes, which is not what dtype and shape ask for",
                       end - begin);
    tensor->data = payload.data + begin;
    return 0;
}

static int read_entry(struct tensor_table *table, const char *name, struct json entry,
                      struct payload payload, struct err *err)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets", NULL};
    struct tensor tensor = {0};
    struct err cause = {0};
    char place[FIELD_TEXT];
    snprintf(place, sizeof place, "tensor %zu of the header", table->count + 1);
    if (!is_tensor_name(name))
        return err_set(err, ERR_FORMAT, place,
                       "its name must have 1 to %d characters out of A-Z a-z 0-9 . _ / -",
                       LIMIT_TENSOR_NAME);
    memcpy(tensor.name, name, strlen(name) + 1);
    if (json_object_check(entry, known, &cause))
        return err_set(err, ERR_FORMAT, name, "its entry in the header: %s", cause.message);
    int code = read_dtype(&tensor, entry, err);
    if (!code)
        code = read_shape(&tensor, entry, err);
    if (!code)
        code = read_offsets(&tensor, entry, payload, err);
    if (!code && (code = tensor_table_add(table, &tensor)))
        err_set(err, (enum err_code)code, name, "not enough memory for the table of tensors");
    return code;
}

/* Strings only, as the format says; the one called advect is kept. */
static int read_metadata(struct safetensors *file, struct json metadata, struct err *err)
{
    const char *key, *text;
    if (!json_is_object(metadata))
        return err_set(err, ERR_FORMAT, "__metadata__", "must be an object of strings");
    for (void *at = NULL; json_next(metadata, &at, &key);)
        if (!json_is_string(json_get(metadata, key)))
            return err_set(err, ERR_FORMAT, "__metadata__", "must hold nothing but strings");
    struct json advect = json_get(metadata, "advect");
    if (!json_present(advect))
        return 0;
    int code = json_read_text(advect, LIMIT_HEADER_BYTES, &text, err);
    if (code)
        return code;
    file->advect = mem_strdup(text);
    return file->advect ? 0 : err_set(err, ERR_NOMEM, "__metadata__", "not enough memory");
}

static int read_entries(struct safetensors *file, struct json header, struct payload payload,
                        struct err *err)
{
    struct json metadata = json_get(header, "__metadata__");
    size_t count = json_length(header) - (metadata.node ? 1 : 0);
    const char *name;
    int code = 0;
    if (count > LIMIT_TENSORS)
        return err_set(err, ERR_FORMAT, "header", "may list at most %d tensors, got %zu",
                       LIMIT_TENSORS, count);
    if (metadata.node)
        code = read_metadata(file, metadata, err);
    for (void *at = NULL; !code && json_next(header, &at, &name);)
        if (strcmp(name, "__metadata__") != 0)
            code = read_entry(&file->table, name, json_get(header, name), payload, err);
    return code;
}

static size_t tensor_bytes(const struct tensor *tensor)
{
    return tensor->count * dtype_size(tensor->dtype);
}

/* By place in the file; empty tensors before the one that begins where they do. */
static int compare_places(const void *a, const void *b)
{
    const struct tensor *left = a, *right = b;
    if (left->data != right->data)
        return left->data < right->data ? -1 : 1;
    size_t left_bytes = tensor_bytes(left), right_bytes = tensor_bytes(right);
    return (left_bytes > right_bytes) - (left_bytes < right_bytes);
}

static int check_layout(struct tensor_table *table, struct payload payload, struct err *err)
{
    const unsigned char *expected = payload.data;
    if (table->count > 0)
        qsort(table->tensors, table->count, sizeof *table->tensors, compare_places);
    for (size_t i = 0; i < table->count; i++) {
        const struct tensor *tensor = &table->tensors[i];
        if (tensor->data != expected)
            return err_set(err, ERR_FORMAT, tensor->name,
                           tensor->data < expected ? "its bytes overlap those of another tensor"
                                                   : "bytes before it belong to no tensor");
        expected += tensor_bytes(tensor);
    }
    size_t rest = payload.size - (size_t)(expected - payload.data);
    if (rest > 0)
        return err_set(err, ERR_FORMAT, "", "the last %zu bytes of the file belong to no tensor",
                       rest);
    return 0;
}

static int read_header(struct json_doc **doc, const unsigned char *bytes, size_t size,
                       struct err *err)
{
    struct err cause = {0};
    int code = json_parse(doc, (const char *)bytes, size, LIMIT_HEADER_BYTES, &cause);
    if (code == ERR_INVALID_JSON) {
        char place[FIELD_TEXT * 2];
        snprintf(place, sizeof place, "header, %.64s", cause.where);
        return err_set(err, ERR_FORMAT, place, "%s", cause.message);
    }
    return code ? err_set(err, cause.code, "header", "%s", cause.message) : 0;
}

int safetensors_read(struct safetensors *out, const unsigned char *bytes, size_t size,
                     struct err *err)
{
    struct safetensors file = {0};
    struct json_doc *header = NULL;
    size_t header_size = 0;
    int code = check_frame(bytes, size, &header_size, err);
    if (!code)
        code = read_header(&header, bytes + LENGTH_BYTES, header_size, err);
    if (!code) {
        struct payload payload = {
            .data = bytes + LENGTH_BYTES + header_size,
            .size = size - LENGTH_BYTES - header_size,
        };
        code = read_entries(&file, json_root(header), payload, err);
        if (!code)
            code = check_layout(&file.table, payload, err);
    }
    json_free(header);
    if (code)
        safetensors_release(&file);
    else
        *out = file;
    return code;
}

void safetensors_release(struct safetensors *file)
{
    tensor_table_release(&file->table);
    mem_free(file->advect);
    *file = (struct safetensors){0};
}

static void write_entry(struct json_writer *w, const struct tensor *tensor, size_t begin)
{
    json_open_object(w, tensor->name);
    json_write_string(w, "dtype", dtype_name(tensor->dtype));
    json_open_array(w, "shape");
    for (size_t i = 0; i < tensor->rank; i++)
        json_write_unsigned(w, NULL, tensor->shape[i]);
    json_close_array(w);
    json_open_array(w, "data_offsets");
    json_write_unsigned(w, NULL, begin);
    json_write_unsigned(w, NULL, begin + tensor_bytes(tensor));
    json_close_array(w);
    json_close_object(w);
}

static void write_header(struct buf *out, const struct tensor_table *table, const char *advect)
{
    struct json_writer w = json_writer(out);
    size_t begin = 0;
    json_open_object(&w, NULL);
    if (advect) {
        json_open_object(&w, "__metadata__");
        json_write_string(&w, "advect", advect);
        json_close_object(&w);
    }
    for (size_t i = 0; i < table->count; i++) {
        write_entry(&w, &table->tensors[i], begin);
        begin += tensor_bytes(&table->tensors[i]);
    }
    json_close_object(&w);
}

int safetensors_write(struct buf *out, const struct tensor_table *table, const char *advect)
{
    struct buf header;
    int code = 0;
    buf_init(&header, LIMIT_HEADER_BYTES);
    write_header(&header, table, advect);
    while (header.size % ALIGNMENT != 0 && buf_char(&header, ' ') == 0)
        continue;
    unsigned char length[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        length[i] = (unsigned char)((uint64_t)header.size >> (8 * i));
    code = header.failed;
    if (!code)
        code = buf_append(out, length, sizeof length);
    if (!code)
        code = buf_append(out, header.data, header.size);
    for (size_t i = 0; i < table->count && !code; i++)
        code = buf_append(out, table->tensors[i].data, tensor_bytes(&table->tensors[i]));
    buf_release(&header);
    return code;
}
