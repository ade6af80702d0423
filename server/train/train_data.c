#include "server/train/train_data.h"

#include "core/base/mem.h"
#include "core/table/infer.h"
#include "proto/csv.h"
#include "proto/npy.h"
#include "server/train/job_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

/* Room for every row of the schema; train_data.count of them are filled in later. */
static int make_room(struct train_data *data, struct err *err)
{
    data->width = schema_width(&data->schema);
    if (data->width > LIMIT_DIM)
        return err_set(err, ERR_TOO_LARGE, "",
                       "the columns make %zu numbers a row, at most %d are allowed", data->width,
                       LIMIT_DIM);
    uint64_t floats;
    if (__builtin_mul_overflow(data->schema.rows, (uint64_t)data->width, &floats) ||
        floats > LIMIT_TRAIN_FLOATS || data->schema.rows > UINT32_MAX)
        return err_set(err, ERR_TOO_LARGE, "",
                       "%llu rows of %zu numbers do not fit: at most %llu numbers are trained on",
                       (unsigned long long)data->schema.rows, data->width,
                       (unsigned long long)LIMIT_TRAIN_FLOATS);
    data->rows = mem_aligned((size_t)floats, sizeof *data->rows);
    if (!data->rows)
        return err_set(err, ERR_NOMEM, "", "there is no memory for the rows of the dataset");
    return 0;
}

/* Counts the row that was written at the end; an incomplete one is left out or kept as imputed. */
static void count_row(struct train_data *data, bool complete, enum missing_policy missing)
{
    if (!complete && missing == MISSING_DROP) {
        data->dropped++;
        return;
    }
    data->imputed += !complete;
    data->count++;
}

/* One pass over a CSV file: into `infer` while it is the first, into `data` in the second. */
struct csv_pass {
    struct train_data *data;
    const struct train_request *request;
    struct infer *infer; /* owned */
    size_t columns;
    bool header_seen;
    bool encode;
};

static int start_infer(struct csv_pass *pass, const char *const *cells, const size_t *lengths,
                       size_t count, struct err *err)
{
    char **names = mem_zalloc(count, sizeof *names);
    int code = names ? 0 : err_set(err, ERR_NOMEM, "", "there is no memory for the columns");
    for (size_t i = 0; i < count && !code; i++) {
        names[i] = mem_strndup(cells[i], lengths[i]);
        if (!names[i])
            code = err_set(err, ERR_NOMEM, "", "there is no memory for the columns");
    }
    if (!code)
        code = infer_new(&pass->infer, (const char *const *)names, count, err);
    for (size_t i = 0; i < pass->request->column_count && !code; i++) {
        const struct column_override *column = &pass->request->columns[i];
        code = infer_override(pass->infer, column->name, column->kind, err);
    }
    for (size_t i = 0; names && i < count; i++)
        mem_free(names[i]);
    mem_free(names);
    return code;
}

static int csv_row(void *context, const char *const *cells, const size_t *lengths, size_t count,
                   uint64_t line, struct err *err)
{
    struct csv_pass *pass = context;
    struct train_data *data = pass->data;
    if (!pass->header_seen) {
        pass->header_seen = true;
        return pass->encode ? 0 : start_infer(pass, cells, lengths, count, err);
    }
    if (!pass->encode)
        return infer_row(pass->infer, cells, lengths, line, err);

    if (data->count + data->dropped >= data->schema.rows)
        return err_set(err, ERR_FORMAT, "", "the data changed while it was read");
    bool complete;
    float *out = data->rows + data->count * data->width;
    int code = encode_row(out, &complete, &data->schema, cells, lengths, line, err);
    if (!code)
        count_row(data, complete, pass->request->missing);
    return code;
}

static int feed_file(struct csv_reader *reader, int fd, struct err *err)
{
    char *piece = mem_alloc(PIECE, 1);
    if (!piece)
        return err_set(err, ERR_NOMEM, "", "there is no memory to read the data");
    int code = 0;
    ssize_t size = lseek(fd, 0, SEEK_SET);
    while (!code && size >= 0 && (size = read(fd, piece, PIECE)) > 0)
        code = csv_reader_feed(reader, piece, (size_t)size, err);
    if (!code && size < 0)
        code = err_set(err, ERR_IO, "", "the data cannot be read: %s", strerror(errno));
    mem_free(piece);
    return code ? code : csv_reader_finish(reader, err);
}

static int csv_scan(struct csv_pass *pass, int fd, struct err *err)
{
    struct csv_reader *reader;
    if (csv_reader_new(&reader, csv_row, pass))
        return err_set(err, ERR_NOMEM, "", "there is no memory to read the data");
    pass->header_seen = false;
    int code = feed_file(reader, fd, err);
    csv_reader_free(reader);
    return code;
}

static int load_csv(struct train_data *data, int fd, const struct train_request *request,
                    struct err *err)
{
    struct csv_pass pass = {.data = data, .request = request};
    int code = csv_scan(&pass, fd, err);
    if (!code)
        code = infer_finish(pass.infer, &data->schema, err);
    infer_free(pass.infer);
    if (!code)
        code = make_room(data, err);
    pass.encode = true;
    return code ? code : csv_scan(&pass, fd, err);
}

/* An NPY file, read a row at a time. */
struct npy_file {
    struct npy_header header;
    int fd;
    size_t rows, columns;
    unsigned char *row; /* [columns] items, owned */
};

static int npy_open(struct npy_file *npy, int fd, struct err *err)
{
    unsigned char head[LIMIT_NPY_HEADER + 16];
    struct stat status;
    ssize_t size = pread(fd, head, sizeof head, 0);
    if (size < 0 || fstat(fd, &status) < 0)
        return err_set(err, ERR_IO, "", "the data cannot be read: %s", strerror(errno));
    *npy = (struct npy_file){.fd = fd};
    int code = npy_read_header(&npy->header, head, (size_t)size, (uint64_t)status.st_size, err);
    if (code)
        return code;
    if (npy->header.rank > 2)
        return err_set(err, ERR_FORMAT, "", "the array has %zu axes; a table has one or two",
                       npy->header.rank);
    npy->rows = npy->header.shape[0];
    npy->columns = npy->header.rank == 2 ? npy->header.shape[1] : 1;
    if (npy->rows == 0 || npy->columns == 0)
        return err_set(err, ERR_FORMAT, "", "the array is empty");
    if (npy->columns > LIMIT_DIM)
        return err_set(err, ERR_TOO_LARGE, "", "the array has %zu columns, at most %d are allowed",
                       npy->columns, LIMIT_DIM);
    npy->row = mem_alloc(npy->columns, npy->header.item_size);
    return npy->row ? 0 : err_set(err, ERR_NOMEM, "", "there is no memory for a row of the array");
}

static int npy_read_row(struct npy_file *npy, size_t row, struct err *err)
{
    size_t size = npy->columns * npy->header.item_size;
    size_t offset = npy->header.header_size + row * size;
    for (size_t done = 0; done < size;) {
        ssize_t count = pread(npy->fd, npy->row + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return err_set(err, ERR_IO, "", "row %zu of the data cannot be read", row);
        done += (size_t)count;
    }
    return 0;
}

/* Welford's update of one column: column->std holds the sum of squared deviations on the way. */
static int npy_see(struct column *column, double value, size_t row, struct err *err)
{
    if (isnan(value)) {
        column->missing++;
        return 0;
    }
    if (isinf(value))
        return err_set(err, ERR_FORMAT, "", "row %zu, column %s: an infinite number", row,
                       column->name);
    if (column->present == 0)
        column->min = column->max = value;
    column->present++;
    double delta = value - column->mean;
    column->mean += delta / (double)column->present;
    column->std += delta * (value - column->mean);
    column->min = value < column->min ? value : column->min;
    column->max = value > column->max ? value : column->max;
    return 0;
}

static int npy_infer(struct schema *schema, struct npy_file *npy, struct err *err)
{
    if (schema_plain(schema, npy->columns))
        return err_set(err, ERR_NOMEM, "", "there is no memory for the columns");
    schema->rows = npy->rows;
    for (size_t c = 0; c < schema->count; c++) {
        struct column *column = &schema->columns[c];
        column->present = column->missing = 0;
        column->mean = column->std = 0;
    }
    for (size_t r = 0; r < npy->rows; r++) {
        int code = npy_read_row(npy, r, err);
        for (size_t c = 0; c < npy->columns && !code; c++)
            code = npy_see(&schema->columns[c], npy_item(npy->row, npy->header.type, c), r, err);
        if (code)
            return code;
    }
    for (size_t c = 0; c < schema->count; c++) {
        struct column *column = &schema->columns[c];
        if (column->present == 0)
            return err_set(err, ERR_FORMAT, "", "column %s: every value is missing", column->name);
        double std = sqrt(column->std / (double)column->present);
        column->std = std > 0 ? std : 1;
    }
    return 0;
}

static int npy_encode(struct train_data *data, struct npy_file *npy, enum missing_policy missing,
                      struct err *err)
{
    for (size_t r = 0; r < npy->rows; r++) {
        int code = npy_read_row(npy, r, err);
        if (code)
            return code;
        bool complete = true;
        float *out = data->rows + data->count * data->width;
        for (size_t c = 0; c < npy->columns; c++) {
            const struct column *column = &data->schema.columns[c];
            double value = npy_item(npy->row, npy->header.type, c);
            complete = complete && !isnan(value);
            out[c] = isnan(value) ? 0 : (float)((value - column->mean) / column->std);
        }
        count_row(data, complete, missing);
    }
    return 0;
}

static int load_npy(struct train_data *data, int fd, const struct train_request *request,
                    struct err *err)
{
    struct npy_file npy = {0};
    int code = npy_open(&npy, fd, err);
    if (!code && request->column_count)
        code = err_set(err, ERR_INVALID, "/columns",
                       "the columns of an NPY array are numeric; only those of a CSV can be typed");
    if (!code)
        code = npy_infer(&data->schema, &npy, err);
    if (!code)
        code = make_room(data, err);
    if (!code)
        code = npy_encode(data, &npy, request->missing, err);
    mem_free(npy.row);
    return code;
}

int train_data_load(struct train_data *data, int dir, const struct train_request *request,
                    struct err *err)
{
    *data = (struct train_data){0};
    bool npy = job_dir_has(dir, JOB_DIR_NPY);
    int fd = openat(dir, npy ? JOB_DIR_NPY : JOB_DIR_CSV, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_NOT_FOUND, "", "the job's data cannot be opened: %s",
                       strerror(errno));
    int code = (npy ? load_npy : load_csv)(data, fd, request, err);
    close(fd);
    if (!code && data->count == 0)
        code = err_set(err, ERR_FORMAT, "",
                       "every row has a missing cell; \"missing\": \"impute\" would fill them in");
    if (code)
        train_data_release(data);
    return code;
}

void train_data_release(struct train_data *data)
{
    schema_release(&data->schema);
    mem_free(data->rows);
    *data = (struct train_data){0};
}
