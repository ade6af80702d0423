#include "proto/archive.h"

#include "config/limits.h"

#include <zip.h>

static int no_archive(const zip_error_t *cause, struct err *err)
{
    if (zip_error_code_zip(cause) == ZIP_ER_MEMORY)
        return err_set(err, ERR_NOMEM, "", "memory ran out for the zip archive");
    return err_set(err, ERR_FORMAT, "",
                   "the file begins as a zip archive, but its table of contents cannot be read: it "
                   "is cut or damaged");
}

static struct zip *open_bytes(const unsigned char *bytes, size_t size, struct err *err)
{
    zip_error_t cause;
    zip_error_init(&cause);
    zip_source_t *source = zip_source_buffer_create(bytes, size, 0, &cause);
    struct zip *zip = source ? zip_open_from_source(source, ZIP_RDONLY, &cause) : NULL;
    if (!zip) {
        no_archive(&cause, err);
        zip_source_free(source);
    }
    zip_error_fini(&cause);
    return zip;
}

/* Adds the size that the entry states to *total. */
static int check_entry(struct zip *zip, size_t index, uint64_t *total, struct err *err)
{
    static const zip_uint64_t needed =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    zip_stat_t stat;
    if (zip_stat_index(zip, index, 0, &stat) || (stat.valid & needed) != needed)
        return err_set(err, ERR_FORMAT, "", "entry %zu of the zip archive is damaged", index + 1);
    if (stat.encryption_method != ZIP_EM_NONE ||
        (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE))
        return err_set(err, ERR_FORMAT, "",
                       "entry %zu of the zip archive is encrypted or packed in an unusual way; "
                       "stored and deflated entries are read",
                       index + 1);
    if (stat.size > LIMIT_CHECKPOINT_BYTES - *total)
        return err_set(err, ERR_TOO_LARGE, "",
                       "the entries of the zip archive have more than %llu bytes together, which "
                       "is the most that is inflated",
                       LIMIT_CHECKPOINT_BYTES);
    *total += stat.size;
    return 0;
}

static int check_entries(const struct archive *archive, struct err *err)
{
    uint64_t total = 0;
    if (archive->count > LIMIT_ARCHIVE_ENTRIES)
        return err_set(err, ERR_TOO_LARGE, "",
                       "the zip archive may have at most %d entries, got %zu",
                       LIMIT_ARCHIVE_ENTRIES, archive->count);
    int code = 0;
    for (size_t i = 0; i < archive->count && !code; i++)
        code = check_entry(archive->zip, i, &total, err);
    return code;
}

int archive_open(struct archive *out, const unsigned char *bytes, size_t size, struct err *err)
{
    struct err cause = {0};
    struct archive archive = {.zip = open_bytes(bytes, size, &cause)};
    if (!archive.zip)
        return err_set(err, cause.code, cause.where, "%s", cause.message);
    archive.count = (size_t)zip_get_num_entries(archive.zip, 0);
    int code = check_entries(&archive, err);
    if (code)
        archive_close(&archive);
    else
        *out = archive;
    return code;
}

void archive_close(struct archive *archive)
{
    if (archive->zip)
        zip_discard(archive->zip);
    *archive = (struct archive){0};
}

const char *archive_name(const struct archive *archive, size_t index)
{
    const char *name = zip_get_name(archive->zip, index, ZIP_FL_ENC_RAW);
    return name ? name : "";
}

bool archive_find(const struct archive *archive, const char *name, size_t *index)
{
    zip_int64_t found = zip_name_locate(archive->zip, name, ZIP_FL_ENC_RAW);
    if (found < 0)
        return false;
    *index = (size_t)found;
    return true;
}

size_t archive_size(const struct archive *archive, size_t index)
{
    zip_stat_t stat;
    if (zip_stat_index(archive->zip, index, 0, &stat))
        return 0;
    return (size_t)stat.size;
}

/* Exactly size bytes; the read past the end is what compares the checksum. */
static bool read_all(zip_file_t *file, unsigned char *out, size_t size)
{
    unsigned char beyond;
    while (size > 0) {
        zip_int64_t got = zip_fread(file, out, size);
        if (got <= 0)
            return false;
        out += got;
        size -= (size_t)got;
    }
    return zip_fread(file, &beyond, 1) == 0;
}

int archive_read(const struct archive *archive, size_t index, void *out, struct err *err)
{
    zip_file_t *file = zip_fopen_index(archive->zip, index, 0);
    bool whole = file && read_all(file, out, archive_size(archive, index));
    if (file)
        zip_fclose(file);
    if (whole)
        return 0;
    return err_set(err, ERR_FORMAT, "",
                   "entry %zu of the zip archive is damaged: its bytes do not agree with its size "
                   "and checksum",
                   index + 1);
}
