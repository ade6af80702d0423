#include "server/store/store.h"

#include "core/base/mem.h"
#include "server/store/store_internal.h"
#include "server/timestamp.h"

#include <string.h>

static const char *const format_names[] = {[DATASET_CSV] = "csv", [DATASET_NPY] = "npy"};

/* The order of what read_record reads. */
#define DATASET_COLUMNS "name, file, format, rows, bytes, sha256, created_ms"

const char *store_dataset_format_name(enum dataset_format format)
{
    return format_names[format];
}

void store_dataset_release(struct dataset_record *record)
{
    mem_free(record->schema);
    record->schema = NULL;
}

static void read_record(const struct db_stmt *stmt, struct dataset_record *out)
{
    const char *format = db_text(stmt, 2);
    *out = (struct dataset_record){
        .format = format && !strcmp(format, "npy") ? DATASET_NPY : DATASET_CSV,
        .rows = (uint64_t)db_integer(stmt, 3),
        .bytes = (uint64_t)db_integer(stmt, 4),
        .created_ms = db_integer(stmt, 6),
    };
    db_copy_text(stmt, 0, out->name, sizeof out->name);
    db_copy_text(stmt, 1, out->file, sizeof out->file);
    db_copy_text(stmt, 5, out->sha256, sizeof out->sha256);
}

static int no_dataset(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "", "there is no dataset named %s", name);
}

static int write_row(struct db *db, const struct dataset_record *record, struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db,
                          "INSERT OR REPLACE INTO datasets"
                          " (" DATASET_COLUMNS ", schema) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                          err);
    if (!code) {
        db_bind_text(&stmt, 1, record->name);
        db_bind_text(&stmt, 2, record->file);
        db_bind_text(&stmt, 3, format_names[record->format]);
        db_bind_integer(&stmt, 4, (int64_t)record->rows);
        db_bind_integer(&stmt, 5, (int64_t)record->bytes);
        db_bind_text(&stmt, 6, record->sha256);
        db_bind_integer(&stmt, 7, record->created_ms);
        db_bind_text(&stmt, 8, record->schema);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

/* In a transaction: puts the row and says which file it had before ("" for none). */
static int replace_row(struct store *store, const struct dataset_record *record, char *old_file,
                       struct err *err)
{
    int code = store_file_of(store, "SELECT file FROM datasets WHERE name = ?", record->name,
                             old_file, err);
    return code ? code : write_row(store->db, record, err);
}

int store_dataset_put(struct store *store, const char *tmp, struct dataset_record *record,
                      bool *replaced, struct err *err)
{
    char old_file[FILES_NAME];
    files_name(record->file);
    record->created_ms = timestamp_now_ms();
    int code = files_publish(store->files.tmp, tmp, store->files.datasets, record->file, err);
    if (!code)
        code = db_begin(store->db, err);
    if (!code) {
        code = replace_row(store, record, old_file, err);
        code = store_end(store, code, err);
    }
    if (code) {
        store_withdraw(store, store->files.datasets, record->file);
        return code;
    }
    *replaced = old_file[0] != '\0';
    if (*replaced)
        files_remove(store->files.datasets, old_file, NULL);
    return 0;
}

int store_dataset_get(struct store *store, const char *name, struct dataset_record *out,
                      struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, store->db,
                          "SELECT " DATASET_COLUMNS ", schema FROM datasets WHERE name = ?", err);
    if (!code) {
        db_bind_text(&stmt, 1, name);
        code = db_step(&stmt, &row, err);
    }
    if (!code && !row)
        code = no_dataset(name, err);
    if (!code) {
        read_record(&stmt, out);
        code = store_copy_text(&stmt, 7, &out->schema, err);
    }
    db_finish(&stmt);
    return code;
}

int store_dataset_remove(struct store *store, const char *name, struct err *err)
{
    struct store_removal removal = {
        .select = "SELECT file FROM datasets WHERE name = ?",
        .remove = "DELETE FROM datasets WHERE name = ?",
    };
    int code = store_remove_row(store, &removal, name, err);
    if (code)
        return code;
    if (!removal.file[0])
        return no_dataset(name, err);
    files_remove(store->files.datasets, removal.file, NULL);
    return 0;
}

static int list_rows(struct db_stmt *stmt, struct dataset_record **out, size_t *count,
                     struct err *err)
{
    bool row = false;
    int code = 0;
    while ((code = db_step(stmt, &row, err)) == 0 && row) {
        struct dataset_record *records = mem_realloc(*out, *count + 1, sizeof *records);
        if (!records)
            return err_set(err, ERR_NOMEM, "", "memory ran out");
        *out = records;
        read_record(stmt, &records[(*count)++]);
    }
    return code;
}

int store_dataset_list(struct store *store, struct dataset_record **out, size_t *count,
                       struct err *err)
{
    struct db_stmt stmt;
    *out = NULL;
    *count = 0;
    int code =
        db_prepare(&stmt, store->db, "SELECT " DATASET_COLUMNS " FROM datasets ORDER BY name", err);
    if (!code)
        code = list_rows(&stmt, out, count, err);
    db_finish(&stmt);
    if (code) {
        mem_free(*out);
        *out = NULL;
        *count = 0;
    }
    return code;
}

int store_dataset_link(struct store *store, const struct dataset_record *record, int dir,
                       const char *new_name, struct err *err)
{
    return files_link(store->files.datasets, record->file, dir, new_name, err);
}
