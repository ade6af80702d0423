#include "proto/torch_file.h"

#include "core/base/mem.h"
#include "proto/archive.h"
#include "proto/torch_names.h"

#include <stdio.h>
#include <string.h>

enum {
    ROOT_MAX = 128, /* bytes of the folder in the archive */
    KEY_MAX = 20,   /* of a storage's name; PyTorch counts them */
    ENTRY_TEXT = 192,
    WORD_MAX = 16,
    /* The arguments that rebuild a tensor, and the parts of a storage's id. */
    ARGUMENT_STORAGE = 0,
    ARGUMENT_OFFSET = 1,
    ARGUMENT_SHAPE = 2,
    ARGUMENT_STRIDES = 3,
    ID_WORD = 0,
    ID_TYPE = 1,
    ID_KEY = 2,
    ID_COUNT = 4,
};

struct torch_block {
    unsigned char *data; /* [size] owned */
    size_t size;
    char key[KEY_MAX + 1]; /* of a storage; empty for a copy */
};

struct reader {
    struct torch_file *file;
    const struct archive *archive;
    char root[ROOT_MAX + 1]; /* the archive's folder */
    struct pickle pickle;
    size_t total; /* bytes of the tensors so far */
    struct err *err;
};

/* A tensor on its storage. */
struct view {
    struct tensor tensor;
    char key[KEY_MAX + 1];
    size_t count; /* elements of the storage */
    size_t offset;
    size_t strides[LIMIT_TENSOR_RANK];
};

bool torch_file_is(const unsigned char *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "PK\x03\x04", 4) == 0;
}

void torch_file_release(struct torch_file *file)
{
    for (size_t i = 0; i < file->block_count; i++)
        mem_free(file->blocks[i].data);
    mem_free(file->blocks);
    tensor_table_release(&file->table);
    *file = (struct torch_file){0};
}

static int no_memory(struct reader *reader, const char *where)
{
    return err_set(reader->err, ERR_NOMEM, where, "memory ran out for the tensors");
}

/* Finds FOLDER/data.pkl, of which there must be one. */
static int find_root(struct reader *reader, size_t *index)
{
    size_t found = 0;
    for (size_t i = 0; i < reader->archive->count; i++) {
        const char *name = archive_name(reader->archive, i);
        const char *slash = strchr(name, '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0 || slash - name > ROOT_MAX)
            continue;
        found++;
        *index = i;
        snprintf(reader->root, sizeof reader->root, "%.*s", (int)(slash - name), name);
    }
    if (found == 1)
        return 0;
    return err_set(reader->err, ERR_FORMAT, "",
                   "the zip archive has %s data.pkl, so that torch.save did not write it",
                   found ? "more than one" : "no");
}

static bool find_entry(const struct reader *reader, const char *name, size_t *index)
{
    char path[ENTRY_TEXT];
    snprintf(path, sizeof path, "%s/%s", reader->root, name);
    return archive_find(reader->archive, path, index);
}

/* What is no checkpoint in spite of its data.pkl. */
static int check_kind(struct reader *reader)
{
    size_t index;
    char word[WORD_MAX] = "little";
    if (find_entry(reader, "constants.pkl", &index))
        return err_set(reader->err, ERR_FORMAT, "",
                       "this is a TorchScript program; send torch.save(model.state_dict(), path)");
    if (find_entry(reader, "byteorder", &index)) {
        size_t size = archive_size(reader->archive, index);
        memset(word, 0, sizeof word);
        int code = size < WORD_MAX ? archive_read(reader->archive, index, word, reader->err) : 0;
        if (code)
            return code;
    }
    if (strcmp(word, "little") == 0)
        return 0;
    return err_set(reader->err, ERR_FORMAT, "byteorder",
                   "the tensors must be stored little-endian, as nearly all machines do");
}

/* A block of that size, zero bytes long where memory ran out. */
static struct torch_block *add_block(struct reader *reader, const char *key, size_t size)
{
    struct torch_file *file = reader->file;
    size_t count = file->block_count;
    if ((count & (count - 1)) == 0) {
        struct torch_block *blocks =
            mem_realloc(file->blocks, count ? 2 * count : 1, sizeof *blocks);
        if (!blocks)
            return NULL;
        file->blocks = blocks;
    }
    unsigned char *data = mem_alloc(size, 1);
    if (!data)
        return NULL;
    struct torch_block *block = &file->blocks[file->block_count++];
    *block = (struct torch_block){.data = data, .size = size};
    snprintf(block->key, sizeof block->key, "%s", key);
    return block;
}

static int bad_tensor(struct reader *reader, const struct tensor *tensor, const char *message)
{
    return err_set(reader->err, ERR_FORMAT, tensor->name, "%s", message);
}

/* A natural number that no checkpoint passes. */
static bool read_size(const struct pickle *pickle, pickle_ref ref, size_t *out)
{
    const struct pickle_value *value = pickle_at(pickle, ref);
    bool good = value->kind == PICKLE_INTEGER && value->integer >= 0 &&
                (uint64_t)value->integer <= LIMIT_CHECKPOINT_BYTES;
    *out = good ? (size_t)value->integer : 0;
    return good;
}

/* The sizes of a tuple of `rank`. */
static bool read_sizes(struct pickle *pickle, pickle_ref tuple, size_t rank, size_t *out)
{
    struct pickle_link member;
    size_t i = 0;
    if (pickle_kind_of(pickle, tuple) != PICKLE_TUPLE || pickle_at(pickle, tuple)->size != rank)
        return false;
    for (uint32_t link = pickle_begin(pickle, tuple); pickle_next(pickle, &link, &member);) {
        if (!read_size(pickle, member.value, &out[i++]))
            return false;
    }
    return i == rank;
}

static bool read_key(char *out, struct pickle_text text)
{
    if (text.size == 0 || text.size > KEY_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

static int read_type(struct reader *reader, struct view *view, pickle_ref type)
{
    const struct pickle_value *value = pickle_at(&reader->pickle, type);
    if (value->kind != PICKLE_GLOBAL || value->global->role != PICKLE_ROLE_STORAGE)
        return bad_tensor(reader, &view->tensor, "its storage is none of PyTorch's");
    if (value->global->other_dtype)
        return err_set(reader->err, ERR_FORMAT, view->tensor.name,
                       "its numbers are in a %s; float32, float64, float16 and bfloat16 are read",
                       value->global->name);
    view->tensor.dtype = value->global->dtype;
    return 0;
}

static int read_storage(struct reader *reader, struct view *view, pickle_ref storage)
{
    struct pickle *pickle = &reader->pickle;
    if (pickle_kind_of(pickle, storage) != PICKLE_STORAGE)
        return bad_tensor(reader, &view->tensor, "it has no storage");
    pickle_ref id = pickle_at(pickle, storage)->first;
    if (!pickle_text_is(pickle_text(pickle, pickle_item(pickle, id, ID_WORD)), "storage") ||
        !read_key(view->key, pickle_text(pickle, pickle_item(pickle, id, ID_KEY))) ||
        !read_size(pickle, pickle_item(pickle, id, ID_COUNT), &view->count))
        return bad_tensor(reader, &view->tensor,
                          "its storage has an id that torch.save does not "
                          "write");
    return read_type(reader, view, pickle_item(pickle, id, ID_TYPE));
}

static int read_shape(struct reader *reader, struct view *view, pickle_ref arguments)
{
    struct pickle *pickle = &reader->pickle;
    struct tensor *tensor = &view->tensor;
    pickle_ref shape = pickle_item(pickle, arguments, ARGUMENT_SHAPE);
    pickle_ref strides = pickle_item(pickle, arguments, ARGUMENT_STRIDES);
    tensor->rank = pickle_at(pickle, shape)->size;
    if (tensor->rank > LIMIT_TENSOR_RANK)
        return err_set(reader->err, ERR_FORMAT, tensor->name,
                       "it may have at most %d dimensions, got %zu", LIMIT_TENSOR_RANK,
                       tensor->rank);
    if (!read_sizes(pickle, shape, tensor->rank, tensor->shape) ||
        !read_sizes(pickle, strides, tensor->rank, view->strides) ||
        !read_size(pickle, pickle_item(pickle, arguments, ARGUMENT_OFFSET), &view->offset))
        return bad_tensor(reader, tensor,
                          "its shape, strides and offset are not natural numbers, "
                          "as many strides as dimensions");
    tensor->count = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!mem_size_mul(tensor->count, tensor->shape[i], &tensor->count))
            return bad_tensor(reader, tensor, "it has more elements than can be counted");
    }
    return 0;
}

/* That every element lies in the storage. No sum overflows: each factor was bounded. */
static int check_bounds(struct reader *reader, const struct view *view)
{
    const struct tensor *tensor = &view->tensor;
    uint64_t last = view->offset;
    if (tensor->count == 0)
        return 0;
    for (size_t i = 0; i < tensor->rank; i++)
        last += (uint64_t)(tensor->shape[i] - 1) * view->strides[i];
    if (last >= view->count)
        return bad_tensor(reader, tensor,
                          "its shape and strides reach past the end of its "
                          "storage");
    if (tensor->count > view->count)
        return bad_tensor(reader, tensor,
                          "it has more elements than its storage; expanded "
                          "tensors are not read, so store tensor.contiguous()");
    return 0;
}

/* No overflow: the storage, which is as large at least, is a part of the file. */
static int check_total(struct reader *reader, const struct tensor *tensor)
{
    size_t bytes = tensor->count * dtype_size(tensor->dtype);
    if (bytes > LIMIT_CHECKPOINT_BYTES - reader->total)
        return err_set(reader->err, ERR_TOO_LARGE, tensor->name,
                       "the tensors have more than %llu bytes together", LIMIT_CHECKPOINT_BYTES);
    reader->total += bytes;
    return 0;
}

static int load_storage(struct reader *reader, const struct view *view, const unsigned char **data)
{
    struct torch_file *file = reader->file;
    for (size_t i = 0; i < file->block_count; i++) {
        if (strcmp(file->blocks[i].key, view->key) == 0) {
            *data = file->blocks[i].data;
            return file->blocks[i].size == view->count * dtype_size(view->tensor.dtype)
                       ? 0
                       : bad_tensor(reader, &view->tensor,
                                    "its storage has another size elsewhere");
        }
    }
    char name[WORD_MAX + KEY_MAX];
    size_t index;
    snprintf(name, sizeof name, "data/%s", view->key);
    if (!find_entry(reader, name, &index) ||
        archive_size(reader->archive, index) != view->count * dtype_size(view->tensor.dtype))
        return err_set(reader->err, ERR_FORMAT, view->tensor.name,
                       "its storage, the entry %s of the archive, is missing or of another size",
                       name);
    struct torch_block *block = add_block(reader, view->key, archive_size(reader->archive, index));
    if (!block)
        return no_memory(reader, view->tensor.name);
    *data = block->data;
    return archive_read(reader->archive, index, block->data, reader->err);
}

static bool is_row_major(const struct view *view)
{
    size_t expected = 1;
    for (size_t i = view->tensor.rank; i > 0; i--) {
        if (view->tensor.shape[i - 1] != 1 && view->strides[i - 1] != expected)
            return false;
        expected *= view->tensor.shape[i - 1];
    }
    return true;
}

/* Copies in row-major order. from: the element at the offset. */
static void gather(unsigned char *out, const struct view *view, const unsigned char *from)
{
    const struct tensor *tensor = &view->tensor;
    size_t size = dtype_size(tensor->dtype);
    size_t at[LIMIT_TENSOR_RANK] = {0};
    size_t place = 0;
    for (size_t i = 0; i < tensor->count; i++) {
        memcpy(out + i * size, from + place * size, size);
        for (size_t axis = tensor->rank; axis > 0; axis--) {
            place += view->strides[axis - 1];
            if (++at[axis - 1] < tensor->shape[axis - 1])
                break;
            place -= view->strides[axis - 1] * tensor->shape[axis - 1];
            at[axis - 1] = 0;
        }
    }
}

static int set_data(struct reader *reader, struct view *view)
{
    struct tensor *tensor = &view->tensor;
    size_t size = dtype_size(tensor->dtype);
    int code = load_storage(reader, view, &tensor->data);
    if (code || tensor->count == 0)
        return code;
    tensor->data += view->offset * size;
    if (is_row_major(view))
        return 0;
    struct torch_block *copy = add_block(reader, "", tensor->count * size);
    if (!copy)
        return no_memory(reader, tensor->name);
    gather(copy->data, view, tensor->data);
    tensor->data = copy->data;
    return 0;
}

static int check_name(struct reader *reader, const char *name)
{
    if (!name[0] || strchr(name, '?'))
        return err_set(reader->err, ERR_FORMAT, name,
                       "the name of a tensor must be made of A-Z a-z 0-9 . _ / -");
    if (tensor_table_find(&reader->file->table, name))
        return err_set(reader->err, ERR_FORMAT, name, "the file has this tensor twice");
    return 0;
}

static int read_tensor(struct reader *reader, const struct torch_name *name)
{
    struct view view = {0};
    pickle_ref arguments = pickle_at(&reader->pickle, name->tensor)->first;
    snprintf(view.tensor.name, sizeof view.tensor.name, "%s", name->name);
    int code = check_name(reader, name->name);
    if (!code)
        code =
            read_storage(reader, &view, pickle_item(&reader->pickle, arguments, ARGUMENT_STORAGE));
    if (!code)
        code = read_shape(reader, &view, arguments);
    if (!code)
        code = check_bounds(reader, &view);
    if (!code)
        code = check_total(reader, &view.tensor);
    if (!code)
        code = set_data(reader, &view);
    if (code)
        return code;
    code = tensor_table_add(&reader->file->table, &view.tensor);
    if (code == ERR_TOO_LARGE)
        return err_set(reader->err, ERR_TOO_LARGE, name->name,
                       "a checkpoint may have at most %d tensors", LIMIT_TENSORS);
    return code ? no_memory(reader, name->name) : 0;
}

static int read_tensors(struct reader *reader, const char *weights)
{
    struct torch_names names;
    int code = torch_names_find(&names, &reader->pickle, reader->err);
    if (code)
        return code;
    code = torch_names_choose(&names, &reader->pickle, weights, reader->err);
    for (size_t i = 0; i < names.count && !code; i++)
        code = read_tensor(reader, &names.names[i]);
    torch_names_release(&names);
    if (!code && pickle_exhausted(&reader->pickle))
        code = err_set(reader->err, ERR_FORMAT, "data.pkl",
                       "the pickle refers to its own parts too often");
    return code;
}

/* bytes: room for the whole of data.pkl. */
static int read_pickled(struct reader *reader, size_t index, unsigned char *bytes,
                        const char *weights)
{
    size_t size = archive_size(reader->archive, index);
    int code = archive_read(reader->archive, index, bytes, reader->err);
    if (!code)
        code = pickle_read(&reader->pickle, bytes, size, reader->err);
    if (code)
        return code;
    code = read_tensors(reader, weights);
    pickle_release(&reader->pickle);
    return code;
}

static int read_archive(struct reader *reader, const char *weights)
{
    size_t index = 0;
    int code = find_root(reader, &index);
    if (!code)
        code = check_kind(reader);
    if (code)
        return code;
    size_t size = archive_size(reader->archive, index);
    if (size > LIMIT_PICKLE_BYTES)
        return err_set(reader->err, ERR_TOO_LARGE, "data.pkl", "may have at most %u bytes, got %zu",
                       LIMIT_PICKLE_BYTES, size);
    unsigned char *bytes = mem_alloc(size, 1);
    if (!bytes)
        return no_memory(reader, "data.pkl");
    code = read_pickled(reader, index, bytes, weights);
    mem_free(bytes);
    return code;
}

int torch_file_read(struct torch_file *out, const unsigned char *bytes, size_t size,
                    const char *weights, struct err *err)
{
    struct torch_file file = {0};
    struct archive archive;
    int code = archive_open(&archive, bytes, size, err);
    if (code)
        return code;
    struct reader reader = {.file = &file, .archive = &archive, .err = err};
    code = read_archive(&reader, weights);
    archive_close(&archive);
    if (code)
        torch_file_release(&file);
    else
        *out = file;
    return code;
}
