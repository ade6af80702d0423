#include "server/store/store.h"

#include "core/base/mem.h"
#include "server/store/store_internal.h"
#include "server/timestamp.h"

#include <string.h>

/* The order of what read_record reads and write_row binds. */
#define MODEL_COLUMNS "name, file, version, bytes, sha256, created_ms, sidecar, error"

void store_model_release(struct model_record *record)
{
    mem_free(record->sidecar);
    mem_free(record->error);
    record->sidecar = NULL;
    record->error = NULL;
}

void store_model_list_free(struct model_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_model_release(&records[i]);
    mem_free(records);
}

static int no_model(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "", "there is no model named %s", name);
}

static int read_record(const struct db_stmt *stmt, struct model_record *out, struct err *err)
{
    *out = (struct model_record){
        .version = (uint64_t)db_integer(stmt, 2),
        .bytes = (uint64_t)db_integer(stmt, 3),
        .created_ms = db_integer(stmt, 5),
    };
    db_copy_text(stmt, 0, out->name, sizeof out->name);
    db_copy_text(stmt, 1, out->file, sizeof out->file);
    db_copy_text(stmt, 4, out->sha256, sizeof out->sha256);
    int code = store_copy_text(stmt, 6, &out->sidecar, err);
    if (!code)
        code = store_copy_text(stmt, 7, &out->error, err);
    if (code)
        store_model_release(out);
    return code;
}

static int next_version(struct db *db, const char *name, uint64_t *version, struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, db,
                          "INSERT INTO model_versions (name, version) VALUES (?, 1)"
                          " ON CONFLICT (name) DO UPDATE SET version = version + 1"
                          " RETURNING version",
                          err);
    if (!code) {
        db_bind_text(&stmt, 1, name);
        code = db_step(&stmt, &row, err);
    }
    if (!code)
        *version = (uint64_t)db_integer(&stmt, 0);
    db_finish(&stmt);
    return code;
}

static int write_row(struct db *db, const struct model_record *record, struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db,
                          "INSERT OR REPLACE INTO models"
                          " (" MODEL_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                          err);
    if (!code) {
        db_bind_text(&stmt, 1, record->name);
        db_bind_text(&stmt, 2, record->file);
        db_bind_integer(&stmt, 3, (int64_t)record->version);
        db_bind_integer(&stmt, 4, (int64_t)record->bytes);
        db_bind_text(&stmt, 5, record->sha256);
        db_bind_integer(&stmt, 6, record->created_ms);
        db_bind_text(&stmt, 7, record->sidecar);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

static int replace_row(struct store *store, struct model_record *record,
                       const struct store_also *also, char *old_file, struct err *err)
{
    int code =
        store_file_of(store, "SELECT file FROM models WHERE name = ?", record->name, old_file, err);
    if (!code)
        code = next_version(store->db, record->name, &record->version, err);
    if (!code)
        code = write_row(store->db, record, err);
    if (!code && also)
        code = also->run(store->db, also->context, err);
    return code;
}

/* The file models/FILE is durable; the row makes it known. */
static int add_row(struct store *store, struct model_record *record, const struct store_also *also,
                   bool *replaced, struct err *err)
{
    char old_file[FILES_NAME] = "";
    record->created_ms = timestamp_now_ms();
    int code = db_begin(store->db, err);
    if (!code) {
        code = replace_row(store, record, also, old_file, err);
        code = store_end(store, code, err);
    }
    if (code) {
        store_withdraw(store, store->files.models, record->file);
        return code;
    }
    *replaced = old_file[0] != '\0';
    if (*replaced)
        files_remove(store->files.models, old_file, NULL);
    return 0;
}

int store_model_put(struct store *store, const char *tmp, struct model_record *record,
                    bool *replaced, struct err *err)
{
    files_name(record->file);
    int code = files_publish(store->files.tmp, tmp, store->files.models, record->file, err);
    return code ? code : add_row(store, record, NULL, replaced, err);
}

int store_model_publish_file(struct store *store, int dir, const char *name,
                             struct model_record *record, const struct store_also *also,
                             struct err *err)
{
    bool replaced;
    files_name(record->file);
    int code = files_link(dir, name, store->files.models, record->file, err);
    return code ? code : add_row(store, record, also, &replaced, err);
}

int store_model_get(struct store *store, const char *name, struct model_record *out,
                    struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code =
        db_prepare(&stmt, store->db, "SELECT " MODEL_COLUMNS " FROM models WHERE name = ?", err);
    if (!code) {
        db_bind_text(&stmt, 1, name);
        code = db_step(&stmt, &row, err);
    }
    if (!code)
        code = row ? read_record(&stmt, out, err) : no_model(name, err);
    db_finish(&stmt);
    return code;
}

int store_model_remove(struct store *store, const char *name, struct err *err)
{
    struct store_removal removal = {
        .select = "SELECT file FROM models WHERE name = ?",
        .remove = "DELETE FROM models WHERE name = ?",
    };
    int code = store_remove_row(store, &removal, name, err);
    if (code)
        return code;
    if (!removal.file[0])
        return no_model(name, err);
    files_remove(store->files.models, removal.file, NULL);
    return 0;
}

static int list_rows(struct db_stmt *stmt, struct model_record **out, size_t *count,
                     struct err *err)
{
    bool row = false;
    int code = 0;
    while ((code = db_step(stmt, &row, err)) == 0 && row) {
        struct model_record *records = mem_realloc(*out, *count + 1, sizeof *records);
        if (!records)
            return err_set(err, ERR_NOMEM, "", "memory ran out");
        *out = records;
        code = read_record(stmt, &records[*count], err);
        if (code)
            return code;
        (*count)++;
    }
    return code;
}

int store_model_list(struct store *store, struct model_record **out, size_t *count, struct err *err)
{
    struct db_stmt stmt;
    *out = NULL;
    *count = 0;
    int code =
        db_prepare(&stmt, store->db, "SELECT " MODEL_COLUMNS " FROM models ORDER BY name", err);
    if (!code)
        code = list_rows(&stmt, out, count, err);
    db_finish(&stmt);
    if (code) {
        store_model_list_free(*out, *count);
        *out = NULL;
        *count = 0;
    }
    return code;
}

static int mark_error(struct db *db, const struct model_record *record, const char *error,
                      struct err *err)
{
    struct db_stmt stmt;
    int code =
        db_prepare(&stmt, db, "UPDATE models SET error = ? WHERE name = ? AND version = ?", err);
    if (!code) {
        db_bind_text(&stmt, 1, error);
        db_bind_text(&stmt, 2, record->name);
        db_bind_integer(&stmt, 3, (int64_t)record->version);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int store_model_loaded(struct store *store, const struct model_record *record, const char *error,
                       bool *current, struct err *err)
{
    struct model_record now;
    *current = false;
    int code = store_model_get(store, record->name, &now, NULL);
    if (code)
        return code == ERR_NOT_FOUND ? 0 : err_set(err, (enum err_code)code, "", "memory ran out");
    *current = now.version == record->version;
    if (*current && !same_text(now.error, error))
        code = mark_error(store->db, record, error, err);
    store_model_release(&now);
    return code;
}
