#include "server/store/dataset_file.h"

#include "core/base/mem.h"
#include "core/base/number.h"
#include "core/table/infer.h"
#include "proto/npy.h"
#include "server/store/signature.h"

#include <math.h>
#include <stdio.h>

enum { PIECE = 256 * 1024 }; /* bytes read at once */

/* One pass over a file. */
struct scan {
    const struct dataset_file *file;
    csv_row_fn row;
    void *context;
    struct hash *hash;    /* NULL: not wanted */
    unsigned char *piece; /* [PIECE] owned */
};

static size_t piece_size(const struct scan *scan, uint64_t offset)
{
    uint64_t left = scan->file->size - offset;
    return left < PIECE ? (size_t)left : PIECE;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "", "memory ran out while the dataset was read");
}

int dataset_file_sniff(int fd, uint64_t size, enum dataset_format *out, struct err *err)
{
    unsigned char bytes[SIGNATURE_BYTES];
    size_t count = size < sizeof bytes ? (size_t)size : sizeof bytes;
    if (count == 0)
        return err_set(err, ERR_FORMAT, "",
                       "the upload is empty; send a CSV file with a header line, or an NPY file");
    int code = files_read(fd, 0, bytes, count, err);
    if (code)
        return code;
    const char *foreign = signature_foreign(bytes, count);
    if (foreign)
        return err_set(err, ERR_UNSUPPORTED, "",
                       "the file is %s; a dataset is plain CSV text or an NPY file", foreign);
    *out = signature_is_npy(bytes, count) ? DATASET_NPY : DATASET_CSV;
    return 0;
}

static int scan_csv(struct scan *scan, struct err *err)
{
    struct csv_reader *reader;
    if (csv_reader_new(&reader, scan->row, scan->context))
        return no_memory(err);
    int code = 0;
    for (uint64_t offset = 0; !code && offset < scan->file->size;) {
        size_t count = piece_size(scan, offset);
        code = files_read(scan->file->fd, offset, scan->piece, count, err);
        if (!code && scan->hash)
            hash_add(scan->hash, scan->piece, count);
        if (!code)
            code = csv_reader_feed(reader, (const char *)scan->piece, count, err);
        offset += count;
    }
    if (!code)
        code = csv_reader_finish(reader, err);
    csv_reader_free(reader);
    return code;
}

/* A row of numbers as cells. */
struct array_row {
    struct npy_header header;
    size_t columns;
    char (*text)[NUMBER_TEXT]; /* [columns] */
    const char **cells;        /* [columns] */
    size_t *lengths;           /* [columns] */
};

static void array_row_release(struct array_row *row)
{
    mem_free(row->text);
    mem_free(row->cells);
    mem_free(row->lengths);
}

static int array_row_init(struct array_row *row, const struct npy_header *header, struct err *err)
{
    uint64_t columns = header->rank == 1 ? 1 : header->shape[1];
    *row = (struct array_row){.header = *header, .columns = (size_t)columns};
    if (header->rank > 2)
        return err_set(err, ERR_FORMAT, "",
                       "the array has %zu dimensions; a dataset has one row a sample: shape "
                       "[rows, columns] or [rows]",
                       header->rank);
    if (columns == 0 || columns > LIMIT_CSV_COLUMNS)
        return err_set(err, ERR_FORMAT, "", "the array has %llu columns; 1 to %d are allowed",
                       (unsigned long long)columns, LIMIT_CSV_COLUMNS);
    row->text = mem_alloc(row->columns, sizeof *row->text);
    row->cells = mem_alloc(row->columns, sizeof *row->cells);
    row->lengths = mem_alloc(row->columns, sizeof *row->lengths);
    if (row->text && row->cells && row->lengths)
        return 0;
    array_row_release(row);
    return no_memory(err);
}

/* An integer past 2^53 is already rounded to a double, and past 2^63 it is no int64_t. */
static size_t write_item(char *out, enum npy_type type, double value)
{
    if (type == NPY_F4)
        return number_write_float(out, (float)value);
    if (type == NPY_F8 || fabs(value) >= 0x1p63)
        return number_write_double(out, value);
    return number_write_integer(out, (int64_t)value);
}

static int pass_header(const struct scan *scan, struct array_row *row, struct err *err)
{
    for (size_t i = 0; i < row->columns; i++) {
        row->lengths[i] = (size_t)snprintf(row->text[i], NUMBER_TEXT, "x%zu", i);
        row->cells[i] = row->text[i];
    }
    return scan->row(scan->context, row->cells, row->lengths, row->columns, 1, err);
}

static int pass_row(const struct scan *scan, struct array_row *row, const unsigned char *data,
                    uint64_t index, struct err *err)
{
    for (size_t i = 0; i < row->columns; i++) {
        double value = npy_item(data, row->header.type, i);
        if (isinf(value)) {
            char where[64];
            snprintf(where, sizeof where, "row %llu, column x%zu", (unsigned long long)index, i);
            return err_set(err, ERR_FORMAT, where, "the number is infinite");
        }
        row->lengths[i] = isnan(value) ? 0 : write_item(row->text[i], row->header.type, value);
    }
    return scan->row(scan->context, row->cells, row->lengths, row->columns, index + 2, err);
}

static int scan_rows(const struct scan *scan, struct array_row *row, struct err *err)
{
    size_t row_size = row->columns * row->header.item_size;
    uint64_t rows = row->header.shape[0];
    uint64_t step = PIECE / row_size;
    int code = pass_header(scan, row, err);
    for (uint64_t first = 0; !code && first < rows; first += step) {
        uint64_t count = rows - first < step ? rows - first : step;
        size_t bytes = (size_t)count * row_size;
        code = files_read(scan->file->fd, row->header.header_size + first * row_size, scan->piece,
                          bytes, err);
        if (!code && scan->hash)
            hash_add(scan->hash, scan->piece, bytes);
        for (uint64_t i = 0; !code && i < count; i++)
            code = pass_row(scan, row, scan->piece + i * row_size, first + i, err);
    }
    return code;
}

static int scan_npy(struct scan *scan, struct err *err)
{
    struct npy_header header;
    struct array_row row;
    size_t count = piece_size(scan, 0);
    int code = files_read(scan->file->fd, 0, scan->piece, count, err);
    if (!code)
        code = npy_read_header(&header, scan->piece, count, scan->file->size, err);
    if (!code && scan->hash)
        hash_add(scan->hash, scan->piece, header.header_size);
    if (!code)
        code = array_row_init(&row, &header, err);
    if (code)
        return code;
    code = scan_rows(scan, &row, err);
    array_row_release(&row);
    return code;
}

static int scan_file(struct scan *scan, struct err *err)
{
    scan->piece = mem_alloc(PIECE, 1);
    if (!scan->piece)
        return no_memory(err);
    int code = scan->file->format == DATASET_NPY ? scan_npy(scan, err) : scan_csv(scan, err);
    mem_free(scan->piece);
    return code;
}

int dataset_file_scan(const struct dataset_file *file, csv_row_fn row, void *context,
                      struct err *err)
{
    struct scan scan = {.file = file, .row = row, .context = context};
    return scan_file(&scan, err);
}

struct description {
    const struct dataset_file *file;
    struct infer *infer; /* NULL until the header was read */
};

/* A table without its header line would lose its first row and have numbers for names. */
static int check_header(const char *const *cells, const size_t *lengths, size_t count,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        if (!number_read(cells[i], lengths[i], &value, NULL, NULL))
            return 0;
    }
    return err_set(err, ERR_FORMAT, "line 1",
                   "the first line holds only numbers; it must hold the names of the columns");
}

/* The columns of an array are numbers, and the user has the last word. */
static int override_kinds(struct infer *infer, const struct dataset_file *file,
                          const char *const *names, size_t count, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && file->format == DATASET_NPY && i < count; i++)
        code = infer_override(infer, names[i], COLUMN_NUMERIC, err);
    for (size_t i = 0; !code && i < file->override_count; i++)
        code = infer_override(infer, file->overrides[i].name, file->overrides[i].kind, err);
    return code;
}

/* cells end with a NUL, as csv.h says. */
static int begin_table(struct description *description, const char *const *cells,
                       const size_t *lengths, size_t count, struct err *err)
{
    int code = check_header(cells, lengths, count, err);
    if (!code)
        code = infer_new(&description->infer, cells, count, err);
    return code ? code : override_kinds(description->infer, description->file, cells, count, err);
}

static int describe_row(void *context, const char *const *cells, const size_t *lengths,
                        size_t count, uint64_t line, struct err *err)
{
    struct description *description = context;
    if (!description->infer)
        return begin_table(description, cells, lengths, count, err);
    return infer_row(description->infer, cells, lengths, line, err);
}

/* Whoever sent floats wants floats, whatever digits they happened to have. */
static void free_decimals(struct schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->columns[i].kind == COLUMN_NUMERIC)
            schema->columns[i].decimals = DECIMALS_FREE;
    }
}

int dataset_file_describe(const struct dataset_file *file, struct schema *schema, char *sha256,
                          struct err *err)
{
    struct description description = {.file = file};
    struct hash hash;
    struct scan scan = {
        .file = file, .row = describe_row, .context = &description, .hash = sha256 ? &hash : NULL};
    hash_init(&hash);
    int code = scan_file(&scan, err);
    if (!code)
        code = infer_finish(description.infer, schema, err);
    infer_free(description.infer);
    if (!code && file->format == DATASET_NPY)
        free_decimals(schema);
    if (!code && sha256)
        hash_text(&hash, sha256);
    return code;
}
