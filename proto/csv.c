#include "proto/csv.h"

#include "config/limits.h"
#include "core/base/mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A limit as it stands in a message. */
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

enum state {
    RECORD_START, /* nothing of the record has been seen */
    FIELD_START,  /* behind a comma */
    PLAIN,        /* in a field without quotes */
    QUOTED,       /* in a field with quotes */
    QUOTE_END,    /* behind a quote in quotes: the end of the field, or the first of a pair */
    CARRIAGE,     /* behind a carriage return that must be followed by a line feed */
};

enum { BOM_SIZE = 3 };
static const unsigned char bom[BOM_SIZE] = {0xef, 0xbb, 0xbf};

/* The bytes that a UTF-8 sequence still needs, and the range of the next one. */
struct utf8 {
    unsigned needed;
    unsigned char low, high;
};

struct csv_reader {
    csv_row_fn row;
    void *context; /* borrowed */
    enum state state;
    struct utf8 utf8;
    size_t bom_seen;     /* bytes of a BOM at the start; BOM_SIZE once that question is settled */
    uint64_t line;       /* line feeds seen + 1 */
    uint64_t start_line; /* line on which the record starts */
    size_t record_size;  /* bytes of the record as they stand in the file */
    size_t field_size;   /* bytes of the field, unquoted */
    size_t field;        /* index of the field that is read */
    size_t columns;      /* fields of the header, 0 before it is complete */
    struct buf text;     /* the record's fields, unquoted, a NUL behind each */
    size_t *lengths;     /* [LIMIT_CSV_COLUMNS] owned */
    const char **cells;  /* [LIMIT_CSV_COLUMNS] owned */
    int code;            /* the first failure, repeated from then on */
    struct err err;
};

int csv_reader_new(struct csv_reader **out, csv_row_fn row, void *context)
{
    struct csv_reader *reader = mem_zalloc(1, sizeof *reader);
    if (!reader)
        return ERR_NOMEM;
    *reader = (struct csv_reader){.row = row, .context = context, .line = 1};
    buf_init(&reader->text, LIMIT_CSV_LINE + LIMIT_CSV_COLUMNS);
    reader->lengths = mem_alloc(LIMIT_CSV_COLUMNS, sizeof *reader->lengths);
    reader->cells = mem_alloc(LIMIT_CSV_COLUMNS, sizeof *reader->cells);
    if (!reader->lengths || !reader->cells) {
        csv_reader_free(reader);
        return ERR_NOMEM;
    }
    *out = reader;
    return 0;
}

void csv_reader_free(struct csv_reader *reader)
{
    if (!reader)
        return;
    buf_release(&reader->text);
    mem_free(reader->lengths);
    mem_free(reader->cells);
    mem_free(reader);
}

static int fail_at(struct csv_reader *reader, uint64_t line, size_t field, const char *message)
{
    char where[64];
    snprintf(where, sizeof where, "line %llu, column %zu", (unsigned long long)line, field + 1);
    return err_set(&reader->err, ERR_FORMAT, where, "%s", message);
}

static int fail(struct csv_reader *reader, const char *message)
{
    return fail_at(reader, reader->line, reader->field, message);
}

static int fail_memory(struct csv_reader *reader)
{
    return err_set(&reader->err, ERR_NOMEM, "", "memory ran out");
}

/* Appends bytes of the field. */
static int add(struct csv_reader *reader, const char *data, size_t size)
{
    reader->field_size += size;
    if (reader->field_size > LIMIT_CSV_FIELD)
        return fail(reader, "a field may have at most " TEXT_OF(LIMIT_CSV_FIELD) " bytes");
    return buf_append(&reader->text, data, size) ? fail_memory(reader) : 0;
}

static int ragged(struct csv_reader *reader, size_t first_bad)
{
    char message[128];
    snprintf(message, sizeof message, "the row has %s fields than the header, which has %zu",
             first_bad < reader->columns ? "fewer" : "more", reader->columns);
    return fail_at(reader, reader->start_line, first_bad, message);
}

static int end_field(struct csv_reader *reader)
{
    if (reader->columns && reader->field == reader->columns)
        return ragged(reader, reader->field);
    if (reader->field == LIMIT_CSV_COLUMNS)
        return fail(reader, "a table may have at most " TEXT_OF(LIMIT_CSV_COLUMNS) " columns");
    reader->lengths[reader->field++] = reader->field_size;
    reader->field_size = 0;
    return buf_char(&reader->text, '\0') ? fail_memory(reader) : 0;
}

static int end_record(struct csv_reader *reader)
{
    int code = end_field(reader);
    if (code)
        return code;
    if (reader->columns && reader->field < reader->columns)
        return ragged(reader, reader->field);
    reader->columns = reader->field;
    const char *text = reader->text.data;
    for (size_t i = 0; i < reader->columns; i++) {
        reader->cells[i] = text;
        text += reader->lengths[i] + 1;
    }
    code = reader->row(reader->context, reader->cells, reader->lengths, reader->columns,
                       reader->start_line, &reader->err);
    buf_clear(&reader->text);
    reader->field = 0;
    reader->record_size = 0;
    reader->state = RECORD_START;
    return code;
}

/* A comma or a line end, where a field may end. */
static int end_by(struct csv_reader *reader, char c)
{
    if (c == ',') {
        reader->state = FIELD_START;
        return end_field(reader);
    }
    if (c == '\r') {
        reader->state = CARRIAGE;
        return 0;
    }
    return end_record(reader);
}

static bool ends_field(char c)
{
    return c == ',' || c == '\r' || c == '\n';
}

static int start_field(struct csv_reader *reader, char c)
{
    if (c == '"') {
        reader->state = QUOTED;
        return 0;
    }
    if (ends_field(c))
        return end_by(reader, c);
    reader->state = PLAIN;
    return add(reader, &c, 1);
}

static int start_record(struct csv_reader *reader, char c)
{
    reader->start_line = reader->line;
    if (c != '\n')
        return start_field(reader, c);
    reader->record_size = 0; /* a blank line */
    return 0;
}

static int step_plain(struct csv_reader *reader, char c)
{
    if (c == '"')
        return fail(reader, "a quote inside a field that does not start with one; quote the whole "
                            "field and double the quotes in it");
    return ends_field(c) ? end_by(reader, c) : add(reader, &c, 1);
}

static int step_quoted(struct csv_reader *reader, char c)
{
    if (c != '"')
        return add(reader, &c, 1);
    reader->state = QUOTE_END;
    return 0;
}

static int step_quote_end(struct csv_reader *reader, char c)
{
    if (ends_field(c))
        return end_by(reader, c);
    if (c != '"')
        return fail(reader, "text behind the closing quote of a field; a quote in a quoted field "
                            "is written twice");
    reader->state = QUOTED;
    return add(reader, &c, 1);
}

static int step_carriage(struct csv_reader *reader, char c)
{
    if (c != '\n')
        return fail(reader, "a carriage return that no line feed follows; quote the field");
    if (reader->record_size > 2)
        return end_record(reader);
    reader->record_size = 0; /* a blank line */
    reader->state = RECORD_START;
    return 0;
}

static int step(struct csv_reader *reader, char c)
{
    switch (reader->state) {
    case RECORD_START:
        return start_record(reader, c);
    case FIELD_START:
        return start_field(reader, c);
    case PLAIN:
        return step_plain(reader, c);
    case QUOTED:
        return step_quoted(reader, c);
    case QUOTE_END:
        return step_quote_end(reader, c);
    case CARRIAGE:
        return step_carriage(reader, c);
    }
    return 0;
}

static struct utf8 utf8_start(unsigned char c)
{
    if (c >= 0xc2 && c <= 0xdf)
        return (struct utf8){1, 0x80, 0xbf};
    if (c >= 0xe0 && c <= 0xef) /* no overlong forms, no surrogates */
        return (struct utf8){2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf};
    return (struct utf8){3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf};
}

/* One byte of UTF-8 (RFC 3629); false where it cannot stand. */
static bool utf8_step(struct utf8 *utf8, unsigned char c)
{
    if (utf8->needed) {
        if (c < utf8->low || c > utf8->high)
            return false;
        *utf8 = (struct utf8){utf8->needed - 1, 0x80, 0xbf};
        return true;
    }
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    *utf8 = utf8_start(c);
    return true;
}

static int push_byte(struct csv_reader *reader, char c)
{
    if (c == '\0')
        return fail(reader, "a NUL byte; the file must be text in UTF-8");
    if (!utf8_step(&reader->utf8, (unsigned char)c))
        return fail(reader, "a byte that is not UTF-8; save the file as UTF-8");
    if (++reader->record_size > LIMIT_CSV_LINE)
        return fail(reader, "a row may have at most 1 MiB");
    int code = step(reader, c);
    if (c == '\n')
        reader->line++;
    return code;
}

/* Length of the run at `data` that any field holds as it is: the common case, taken at one go. */
static size_t simple_run(const struct csv_reader *reader, const char *data, size_t size)
{
    size_t run = 0;
    size_t most = LIMIT_CSV_LINE - reader->record_size;
    if (reader->utf8.needed || (reader->state != PLAIN && reader->state != QUOTED))
        return 0;
    if (size > most)
        size = most;
    while (run < size && data[run] >= ' ' && data[run] <= '~' && data[run] != ',' &&
           data[run] != '"')
        run++;
    return run;
}

static int push(struct csv_reader *reader, const char *data, size_t size)
{
    int code = 0;
    while (size && !code) {
        size_t run = simple_run(reader, data, size);
        if (run) {
            reader->record_size += run;
            code = add(reader, data, run);
        } else {
            run = 1;
            code = push_byte(reader, *data);
        }
        data += run;
        size -= run;
    }
    return code;
}

/* The bytes of a BOM that turned out to be something else. */
static int push_held(struct csv_reader *reader)
{
    size_t held = reader->bom_seen;
    reader->bom_seen = BOM_SIZE;
    return push(reader, (const char *)bom, held % BOM_SIZE);
}

static int feed(struct csv_reader *reader, const char *data, size_t size)
{
    while (size && reader->bom_seen < BOM_SIZE && (unsigned char)*data == bom[reader->bom_seen]) {
        reader->bom_seen++;
        data++;
        size--;
    }
    if (size == 0)
        return 0;
    int code = push_held(reader);
    return code ? code : push(reader, data, size);
}

static int finish(struct csv_reader *reader)
{
    int code = push_held(reader);
    if (code)
        return code;
    if (reader->utf8.needed)
        return fail(reader, "the file ends in the middle of a UTF-8 character");
    if (reader->state == QUOTED)
        return fail_at(reader, reader->start_line, reader->field,
                       "the quote of this field is still open at the end of the file");
    if (reader->state == CARRIAGE)
        return step_carriage(reader, '\0');
    if (reader->state != RECORD_START)
        return end_record(reader);
    if (reader->columns == 0)
        return err_set(&reader->err, ERR_FORMAT, "line 1",
                       "the file is empty; its first line must name the columns");
    return 0;
}

/* Remembers a failure and hands it out. */
static int report(struct csv_reader *reader, int code, struct err *err)
{
    reader->code = code;
    if (code && err && err->code == ERR_NONE)
        *err = reader->err;
    return code;
}

int csv_reader_feed(struct csv_reader *reader, const char *data, size_t size, struct err *err)
{
    return report(reader, reader->code ? reader->code : feed(reader, data, size), err);
}

int csv_reader_finish(struct csv_reader *reader, struct err *err)
{
    return report(reader, reader->code ? reader->code : finish(reader), err);
}

void csv_write_text(struct buf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buf_text(out, text);
        return;
    }
    buf_char(out, '"');
    for (const char *quote; (quote = strchr(text, '"')) != NULL; text = quote + 1) {
        buf_append(out, text, (size_t)(quote - text) + 1);
        buf_char(out, '"');
    }
    buf_text(out, text);
    buf_char(out, '"');
}
