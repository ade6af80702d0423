#include "core/table/infer.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/table/level_set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Both hypotheses are kept while rows come in: numbers (statistics) and a category (levels). */
struct infer_column {
    char *name; /* owned */
    bool overridden;
    enum column_kind kind; /* of an override */
    bool fraction;         /* a point or an exponent was seen */
    uint64_t text_line;    /* first line whose cell is no number, 0 = none */
    uint64_t present, missing;
    double mean, squares; /* Welford: running mean, and sum of squared deviations from it */
    double min, max;
    unsigned decimals;
    struct level_set levels;
};

struct infer {
    struct infer_column *columns; /* [count] owned */
    size_t count;
    uint64_t rows;
};

static int name_error(struct err *err, size_t column, const char *message)
{
    char where[64];
    snprintf(where, sizeof where, "line 1, column %zu", column + 1);
    return err_set(err, ERR_FORMAT, where, "%s", message);
}

/* names[0 .. at - 1] are good already. */
static int check_name(const char *const *names, size_t at, struct err *err)
{
    const char *name = names[at];
    size_t length = strlen(name);
    if (strspn(name, " \t") == length)
        return name_error(err, at, "the column has no name; the first line must name every column");
    if (length > LIMIT_COLUMN_NAME)
        return name_error(err, at, "a column name may have at most 256 bytes");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return name_error(err, at, "a column name may not hold control characters");
    for (size_t i = 0; i < at; i++)
        if (strcmp(names[i], name) == 0)
            return name_error(err, at, "an earlier column has the same name");
    return 0;
}

/* One column whose name holds another separator is a table that was saved with that. */
static int check_separator(const char *name, struct err *err)
{
    const char *found = strpbrk(name, ";\t");
    if (!found)
        return 0;
    return err_set(err, ERR_FORMAT, "line 1",
                   "the columns are separated by %s; save the table with commas between them",
                   *found == ';' ? "semicolons" : "tabs");
}

static int check_names(const char *const *names, size_t count, struct err *err)
{
    if (count == 0 || count > LIMIT_CSV_COLUMNS)
        return err_set(err, ERR_FORMAT, "line 1", "a table has 1 to %d columns, not %zu",
                       LIMIT_CSV_COLUMNS, count);
    int code = count == 1 ? check_separator(names[0], err) : 0;
    for (size_t i = 0; i < count && !code; i++)
        code = check_name(names, i, err);
    return code;
}

int infer_new(struct infer **out, const char *const *names, size_t count, struct err *err)
{
    int code = check_names(names, count, err);
    if (code)
        return code;
    struct infer *infer = mem_zalloc(1, sizeof *infer);
    if (!infer)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    infer->columns = mem_zalloc(count, sizeof *infer->columns);
    bool whole = infer->columns != NULL;
    while (whole && infer->count < count) {
        char *name = mem_strdup(names[infer->count]);
        whole = name != NULL;
        if (whole)
            infer->columns[infer->count++].name = name;
    }
    if (!whole) {
        infer_free(infer);
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    }
    *out = infer;
    return 0;
}

void infer_free(struct infer *infer)
{
    if (!infer)
        return;
    for (size_t i = 0; i < infer->count; i++) {
        level_set_release(&infer->columns[i].levels);
        mem_free(infer->columns[i].name);
    }
    mem_free(infer->columns);
    mem_free(infer);
}

int infer_override(struct infer *infer, const char *name, enum column_kind kind, struct err *err)
{
    check(infer->rows == 0);
    for (size_t i = 0; i < infer->count; i++) {
        struct infer_column *column = &infer->columns[i];
        if (strcmp(column->name, name) == 0) {
            column->overridden = true;
            column->kind = kind;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "/columns", "the table has no column \"%s\"", name);
}

static void add_number(struct infer_column *column, double value)
{
    double deviation = value - column->mean;
    column->mean += deviation / (double)column->present;
    column->squares += deviation * (value - column->mean);
    if (column->present == 1)
        column->min = column->max = value;
    column->min = fmin(column->min, value);
    column->max = fmax(column->max, value);
}

static bool must_be(const struct infer_column *column, enum column_kind kind)
{
    return column->overridden && column->kind == kind;
}

static bool must_be_number(const struct infer_column *column)
{
    return column->overridden && column->kind != COLUMN_CATEGORICAL;
}

/* The numeric hypothesis; it ends with the first cell that is no number. */
static int try_number(struct infer_column *column, const char *cell, size_t length, uint64_t line,
                      struct err *err)
{
    double value;
    unsigned decimals;
    bool integer;
    if (column->text_line || must_be(column, COLUMN_CATEGORICAL))
        return 0;
    if (!cell_number(cell, length, &value, &decimals, &integer)) {
        column->text_line = line;
        if (must_be_number(column))
            return cell_error(err, column->name, line,
                              "not a number of float32's range; the column was asked to be %s",
                              column_kind_name(column->kind));
        return 0;
    }
    if (!integer && must_be(column, COLUMN_INTEGER))
        return cell_error(err, column->name, line,
                          "not a whole number; the column was asked to be integer");
    column->fraction = column->fraction || !integer;
    if (decimals > column->decimals)
        column->decimals = decimals;
    add_number(column, value);
    return 0;
}

static int infer_cell(struct infer_column *column, const char *cell, size_t length, uint64_t line,
                      struct err *err)
{
    if (cell_missing(cell, length)) {
        column->missing++;
        return 0;
    }
    if (length > LIMIT_LEVEL)
        return cell_error(err, column->name, line,
                          "a cell of a table may have at most %d bytes; leave free text out",
                          LIMIT_LEVEL);
    column->present++;
    int code = try_number(column, cell, length, line, err);
    if (code)
        return code;
    if (must_be_number(column))
        return 0;
    if (level_set_add(&column->levels, cell, length))
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    return 0;
}

int infer_row(struct infer *infer, const char *const *cells, const size_t *lengths, uint64_t line,
              struct err *err)
{
    for (size_t i = 0; i < infer->count; i++) {
        int code = infer_cell(&infer->columns[i], cells[i], lengths[i], line, err);
        if (code)
            return code;
    }
    infer->rows++;
    return 0;
}

static enum column_kind decide_kind(const struct infer_column *column)
{
    if (column->overridden)
        return column->kind;
    if (column->text_line)
        return COLUMN_CATEGORICAL;
    return column->fraction ? COLUMN_NUMERIC : COLUMN_INTEGER;
}

static int too_many_levels(const struct infer_column *column, const char *where, struct err *err)
{
    if (column->overridden)
        return err_set(err, ERR_FORMAT, where,
                       "more than %d different values are too many for a category; "
                       "leave the column out, or group its values",
                       LIMIT_LEVELS);
    return err_set(err, ERR_FORMAT, where,
                   "line %llu holds no number, and more than %d different values are too many "
                   "for a category; leave the column out, group its values, or empty the "
                   "cells that are not numbers",
                   (unsigned long long)column->text_line, LIMIT_LEVELS);
}

/* Adds the column's floats to *width. */
static int check_column(const struct infer_column *column, size_t *width, struct err *err)
{
    char where[sizeof err->where];
    snprintf(where, sizeof where, "column %s", column->name);
    if (column->present == 0)
        return err_set(err, ERR_FORMAT, where, "every cell is missing; leave the column out");
    bool category = decide_kind(column) == COLUMN_CATEGORICAL;
    if (category && column->levels.full)
        return too_many_levels(column, where, err);
    *width += category ? column->levels.count : 1;
    return 0;
}

static int check_table(const struct infer *infer, struct err *err)
{
    if (infer->rows == 0)
        return err_set(err, ERR_FORMAT, "", "the table has a header but no rows");
    size_t width = 0;
    for (size_t i = 0; i < infer->count; i++) {
        int code = check_column(&infer->columns[i], &width, err);
        if (code)
            return code;
    }
    if (width > LIMIT_DIM)
        return err_set(err, ERR_FORMAT, "",
                       "a row becomes %zu numbers (1 a number, 1 a level of a category), "
                       "at most %d are possible; leave columns out or group levels",
                       width, LIMIT_DIM);
    return 0;
}

static double spread(const struct infer_column *column)
{
    double std = sqrt(column->squares / (double)column->present);
    return column->min < column->max && std > 0 ? std : 1;
}

/* Moves the names and levels. */
static void finish_column(struct infer_column *from, struct column *to)
{
    *to = (struct column){.name = from->name,
                          .kind = decide_kind(from),
                          .present = from->present,
                          .missing = from->missing,
                          .std = 1};
    from->name = NULL;
    if (to->kind == COLUMN_CATEGORICAL) {
        to->levels = from->levels.texts;
        to->level_rows = from->levels.rows;
        to->level_count = from->levels.count;
        from->levels.texts = NULL;
        from->levels.rows = NULL;
        from->levels.count = 0;
        return;
    }
    to->mean = from->mean;
    to->std = spread(from);
    to->min = from->min;
    to->max = from->max;
    to->decimals = from->decimals;
}

int infer_finish(struct infer *infer, struct schema *schema, struct err *err)
{
    int code = check_table(infer, err);
    if (code)
        return code;
    struct column *columns = mem_alloc(infer->count, sizeof *columns);
    if (!columns)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    for (size_t i = 0; i < infer->count; i++)
        finish_column(&infer->columns[i], &columns[i]);
    *schema = (struct schema){.columns = columns, .count = infer->count, .rows = infer->rows};
    return 0;
}
