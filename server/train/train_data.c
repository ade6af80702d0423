#include "server/train/train_data.h"

#include "core/base/mem.h"
#include "proto/json_write.h"
#include "proto/model_codec.h"
#include "server/store/dataset_file.h"
#include "server/train/job_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a checkpoint says beside its columns: tensors, time, training record. */
enum { HEADER_REST = 64 * 1024 };

/* A trained model carries its columns in the header of its file: better said now than at the end.
   There they are JSON within a JSON text, with its quotes escaped. */
static int check_description(const struct schema *schema, struct err *err)
{
    struct buf columns, text;
    buf_init(&columns, LIMIT_HEADER_BYTES - HEADER_REST);
    buf_init(&text, LIMIT_HEADER_BYTES - HEADER_REST);
    struct json_writer w = json_writer(&text);
    schema_write(&columns, schema);
    if (!columns.failed)
        json_write_string_n(&w, NULL, columns.data, columns.size);
    int code = columns.failed ? columns.failed : text.failed;
    buf_release(&columns);
    buf_release(&text);
    if (!code)
        return 0;
    return err_set(err, (enum err_code)code, "",
                   "the names and levels of the columns do not fit into a checkpoint, which has "
                   "%d KiB for them; shorten or group the levels",
                   (int)(LIMIT_HEADER_BYTES - HEADER_REST) / 1024);
}

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

/* The second pass. */
struct encoding {
    struct train_data *data;
    enum missing_policy missing;
    bool header_seen;
};

static int encode_next(void *context, const char *const *cells, const size_t *lengths, size_t count,
                       uint64_t line, struct err *err)
{
    struct encoding *encoding = context;
    struct train_data *data = encoding->data;
    if (!encoding->header_seen) {
        encoding->header_seen = true;
        return 0;
    }
    if (count != data->schema.count || data->count + data->dropped >= data->schema.rows)
        return err_set(err, ERR_FORMAT, "", "the data changed while it was read");
    bool complete;
    float *out = data->rows + data->count * data->width;
    int code = encode_row(out, &complete, &data->schema, cells, lengths, line, err);
    if (!code)
        count_row(data, complete, encoding->missing);
    return code;
}

static int load(struct train_data *data, const struct dataset_file *file,
                enum missing_policy missing, struct err *err)
{
    struct encoding encoding = {.data = data, .missing = missing};
    int code = dataset_file_describe(file, &data->schema, NULL, err);
    if (!code)
        code = check_description(&data->schema, err);
    if (!code)
        code = make_room(data, err);
    if (!code)
        code = dataset_file_scan(file, encode_next, &encoding, err);
    if (!code && data->count == 0)
        code = err_set(err, ERR_FORMAT, "",
                       "every row has a missing cell; \"missing\": \"impute\" would fill them in");
    return code;
}

/* The descriptor is the caller's to close. */
static int open_file(struct dataset_file *file, int dir, struct err *err)
{
    bool npy = job_dir_has(dir, JOB_DIR_NPY);
    struct stat status;
    file->format = npy ? DATASET_NPY : DATASET_CSV;
    file->fd = openat(dir, npy ? JOB_DIR_NPY : JOB_DIR_CSV, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status) < 0)
        return err_set(err, ERR_NOT_FOUND, "", "the job's data cannot be opened: %s",
                       strerror(errno));
    file->size = (uint64_t)status.st_size;
    return 0;
}

int train_data_load(struct train_data *data, int dir, const struct train_request *request,
                    struct err *err)
{
    struct dataset_file file = {.overrides = request->columns,
                                .override_count = request->column_count};
    *data = (struct train_data){0};
    int code = open_file(&file, dir, err);
    if (!code)
        code = load(data, &file, request->missing, err);
    if (file.fd >= 0)
        close(file.fd);
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
