#include "tests/unit/table/table_help.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_row_split(struct table_row *row, const char *text)
{
    size_t size = strcspn(text, "\n");
    row->text = strndup(text, size);
    row->count = 0;
    for (char *at = row->text; at; row->count++) {
        char *comma = strchr(at, ',');
        ck_assert_uint_lt(row->count, TABLE_CELLS);
        if (comma)
            *comma = '\0';
        row->cells[row->count] = at;
        row->lengths[row->count] = strlen(at);
        at = comma ? comma + 1 : NULL;
    }
}

void table_row_free(struct table_row *row)
{
    free(row->text);
}

static int infer_rows(struct infer *infer, const char *text, struct err *err)
{
    int code = 0;
    uint64_t line = 2;
    for (const char *at = strchr(text, '\n') + 1; *at && !code; at = strchr(at, '\n') + 1) {
        struct table_row row;
        table_row_split(&row, at);
        code = infer_row(infer, row.cells, row.lengths, line++, err);
        table_row_free(&row);
    }
    return code;
}

int table_infer(struct schema *schema, const char *text, const struct table_override *overrides,
                struct err *err)
{
    struct table_row names;
    struct infer *infer = NULL;
    table_row_split(&names, text);
    int code = infer_new(&infer, names.cells, names.count, err);
    table_row_free(&names);
    for (; !code && overrides && overrides->name; overrides++)
        code = infer_override(infer, overrides->name, overrides->kind, err);
    if (!code)
        code = infer_rows(infer, text, err);
    if (!code)
        code = infer_finish(infer, schema, err);
    infer_free(infer);
    return code;
}

char *table_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(size + 1);
    ck_assert_uint_eq(fread(text, 1, size, file), size);
    text[size] = '\0';
    fclose(file);
    return text;
}
