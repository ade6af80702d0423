#include "proto/json.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "core/base/number.h"
#include "proto/json_region.h"
#include "proto/json_text.h"
#include "proto/json_write.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

/* jansson's macros of these names; ours are functions on `struct json`. */
#undef json_is_array
#undef json_is_boolean
#undef json_is_integer
#undef json_is_number
#undef json_is_object
#undef json_is_string

struct json_doc {
    json_t *root; /* in the region */
    struct json_region region;
};

/* jansson (2.14) writes past its token buffer when that cannot grow, so it is never told of a
   failed allocation: the parse is left by a jump, and the region takes all of its memory back. */
struct parse {
    struct json_region *region;
    jmp_buf out_of_memory;
};

static _Thread_local struct parse *json_parsing;

static void *parse_alloc(size_t size)
{
    void *piece = json_region_take(json_parsing->region, size);
    if (!piece)
        longjmp(json_parsing->out_of_memory, 1);
    return piece;
}

static void parse_free(void *piece)
{
    (void)piece; /* goes with the region */
}

void json_start(void)
{
    json_set_alloc_funcs(parse_alloc, parse_free);
    json_object_seed(0);
}

/* Parsing. */

static const char *syntax_message(enum json_error_code code)
{
    switch (code) {
    case json_error_invalid_utf8:
        return "the text is not valid UTF-8";
    case json_error_premature_end_of_input:
        return "the text ends in the middle of a value";
    case json_error_end_of_input_expected:
        return "something follows the end of the value";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "\\u0000 is not allowed in strings";
    case json_error_duplicate_key:
        return "an object has the same key twice";
    case json_error_numeric_overflow:
        return "a number is too large: integers go up to 2^63 - 1 and reals to 1.79e308 (a seed "
               "above "
               "2^53 - 1 is written as a string)";
    default:
        return "the text is not JSON here";
    }
}

static int syntax_error(const json_error_t *error, struct err *err)
{
    char place[JSON_TEXT_PLACE];
    snprintf(place, sizeof place, "line %d, column %d", error->line, error->column);
    return err_set(err, ERR_INVALID_JSON, place, "%s", syntax_message(json_error_code(error)));
}

static int build_tree(struct json_doc *doc, const char *text, size_t size, struct err *err)
{
    struct parse parse = {.region = &doc->region};
    json_error_t error;
    json_parsing = &parse;
    if (setjmp(parse.out_of_memory))
        return err_set(err, ERR_NOMEM, "", "not enough memory for the JSON text");
    doc->root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    return doc->root ? 0 : syntax_error(&error, err);
}

int json_parse(struct json_doc **out, const char *text, size_t size, size_t limit, struct err *err)
{
    if (size > limit)
        return err_set(err, ERR_TOO_LARGE, "", "the JSON text may have at most %zu bytes, got %zu",
                       limit, size);
    if (json_text_blank(text, size))
        return err_set(err, ERR_INVALID_JSON, "", "the text is empty; a JSON value is expected");
    int code = json_text_check(text, size, err);
    if (code)
        return code;
    struct json_doc *doc = mem_zalloc(1, sizeof *doc);
    if (!doc)
        return err_set(err, ERR_NOMEM, "", "not enough memory for the JSON text");
    code = build_tree(doc, text, size, err);
    json_parsing = NULL;
    if (code)
        json_free(doc);
    else
        *out = doc;
    return code;
}

void json_free(struct json_doc *doc)
{
    if (!doc)
        return;
    json_region_release(&doc->region);
    mem_free(doc);
}

/* Walking. */

static const json_t *node_of(struct json value)
{
    return value.node;
}

static bool has_type(struct json value, json_type type)
{
    return value.node && json_typeof(node_of(value)) == type;
}

struct json json_root(const struct json_doc *doc)
{
    return (struct json){.node = doc->root};
}

/* Appends "/key" as RFC 6901 writes it; one that does not fit leaves the pointer at the container.
 */
static void pointer_append(char *pointer, const char *key)
{
    size_t capacity = sizeof((struct json *)0)->pointer;
    size_t start = strlen(pointer);
    size_t length = start;
    if (length + 2 > capacity)
        return;
    pointer[length++] = '/';
    for (; *key; key++) {
        bool escaped = *key == '~' || *key == '/';
        if (length + escaped + 2 > capacity) {
            pointer[start] = '\0';
            return;
        }
        if (escaped)
            pointer[length++] = '~';
        pointer[length++] = *key == '~' ? '0' : *key == '/' ? '1' : *key;
    }
    pointer[length] = '\0';
}

struct json json_get(struct json object, const char *key)
{
    struct json member = object;
    member.node = has_type(object, JSON_OBJECT) ? json_object_get(node_of(object), key) : NULL;
    pointer_append(member.pointer, key);
    return member;
}

struct json json_at(struct json array, size_t index)
{
    struct json item = array;
    char key[24];
    snprintf(key, sizeof key, "%zu", index);
    item.node = has_type(array, JSON_ARRAY) ? json_array_get(node_of(array), index) : NULL;
    pointer_append(item.pointer, key);
    return item;
}

bool json_present(struct json value)
{
    return value.node && !has_type(value, JSON_NULL);
}

bool json_is_object(struct json value)
{
    return has_type(value, JSON_OBJECT);
}

bool json_is_array(struct json value)
{
    return has_type(value, JSON_ARRAY);
}

bool json_is_string(struct json value)
{
    return has_type(value, JSON_STRING);
}

bool json_is_number(struct json value)
{
    return has_type(value, JSON_INTEGER) || has_type(value, JSON_REAL);
}

bool json_is_integer(struct json value)
{
    return has_type(value, JSON_INTEGER);
}

bool json_is_boolean(struct json value)
{
    return has_type(value, JSON_TRUE) || has_type(value, JSON_FALSE);
}

size_t json_length(struct json value)
{
    if (has_type(value, JSON_ARRAY))
        return json_array_size(node_of(value));
    return has_type(value, JSON_OBJECT) ? json_object_size(node_of(value)) : 0;
}

/* jansson's iterators take a tree that may be changed; this one is only read. */
static json_t *iterable(struct json object)
{
    return (json_t *)(uintptr_t)object.node;
}

bool json_next(struct json object, void **at, const char **key)
{
    if (!json_is_object(object))
        return false;
    *at = *at ? json_object_iter_next(iterable(object), *at) : json_object_iter(iterable(object));
    if (*at)
        *key = json_object_iter_key(*at);
    return *at != NULL;
}

/* Messages. */

static const char *type_text(struct json value)
{
    static const char *const texts[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
    };
    return texts[json_typeof(node_of(value))];
}

static int wrong_type(struct json value, const char *expected, struct err *err)
{
    if (!value.node)
        return err_set(err, ERR_INVALID, value.pointer, "is required");
    return err_set(err, ERR_INVALID, value.pointer, "must be %s, not %s", expected,
                   type_text(value));
}

/* Room for a number and its NUL. */
struct number_text {
    char text[NUMBER_TEXT + 1];
};

static struct number_text number_text(double value)
{
    struct number_text result = {{0}};
    if (isfinite(value))
        number_write_double(result.text, value);
    return result;
}

static int unknown_field(struct json object, const char *key, const char *const *known,
                         struct err *err)
{
    struct json member = json_get(object, key);
    const char *meant = json_text_nearest(key, known);
    if (meant)
        return err_set(err, ERR_INVALID, member.pointer, "unknown field; did you mean %s?", meant);
    char list[240] = "";
    for (size_t length = 0; *known && length < sizeof list; known++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", length ? ", " : "",
                                   *known);
    return err_set(err, ERR_INVALID, member.pointer, "unknown field; known are %s", list);
}

static bool is_known(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (strcmp(key, *known) == 0)
            return true;
    return false;
}

int json_object_check(struct json value, const char *const *known, struct err *err)
{
    const char *key;
    if (!json_is_object(value))
        return wrong_type(value, "an object", err);
    for (void *at = NULL; json_next(value, &at, &key);)
        if (!is_known(key, known))
            return unknown_field(value, key, known, err);
    return 0;
}

/* Reading. */

int json_read_integer(struct json value, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    if (!json_is_number(value))
        return wrong_type(value, "an integer", err);
    double number = json_number_value(node_of(value));
    bool integer = json_is_integer(value);
    json_int_t whole = integer ? json_integer_value(node_of(value)) : 0;
    char got[NUMBER_TEXT + 1];
    if (integer)
        snprintf(got, sizeof got, "%lld", (long long)whole);
    else
        snprintf(got, sizeof got, "%s", number_text(number).text);
    bool inside =
        integer ? whole >= min && whole <= max : number >= (double)min && number <= (double)max;
    if (!inside)
        return err_set(err, ERR_INVALID, value.pointer, "must be between %lld and %lld, got %s",
                       (long long)min, (long long)max, got);
    if (!integer)
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be an integer, written without point or exponent, got %s", got);
    *out = whole;
    return 0;
}

int json_read_number(struct json value, double min, double max, double *out, struct err *err)
{
    if (!json_is_number(value))
        return wrong_type(value, "a number", err);
    double number = json_number_value(node_of(value));
    if (number >= min && number <= max) {
        *out = number + 0.0; /* -0.0 is 0, as -0 is */
        return 0;
    }
    if (!isfinite(max))
        return err_set(err, ERR_INVALID, value.pointer, "must be at least %s, got %s",
                       number_text(min).text, number_text(number).text);
    return err_set(err, ERR_INVALID, value.pointer, "must be between %s and %s, got %s",
                   number_text(min).text, number_text(max).text, number_text(number).text);
}

int json_read_boolean(struct json value, bool *out, struct err *err)
{
    if (!json_is_boolean(value))
        return wrong_type(value, "true or false", err);
    *out = has_type(value, JSON_TRUE);
    return 0;
}

int json_read_text(struct json value, size_t max, const char **out, struct err *err)
{
    if (!json_is_string(value))
        return wrong_type(value, "a string", err);
    size_t length = json_string_length(node_of(value));
    if (length > max)
        return err_set(err, ERR_INVALID, value.pointer, "may have at most %zu bytes, got %zu", max,
                       length);
    *out = json_string_value(node_of(value));
    return 0;
}

int json_read_string(struct json value, size_t max, const char **out, struct err *err)
{
    const char *text;
    int code = json_read_text(value, max, &text, err);
    if (code)
        return code;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return err_set(err, ERR_INVALID, value.pointer, "may not hold control characters");
    *out = text;
    return 0;
}

static bool is_name_char(char c, bool first)
{
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return plain || (!first && (c == '-' || c == '_'));
}

bool json_name_valid(const char *name)
{
    size_t length = 0;
    for (; name[length]; length++)
        if (length == LIMIT_NAME || !is_name_char(name[length], length == 0))
            return false;
    return length > 0;
}

int json_read_name(struct json value, char *out, struct err *err)
{
    if (!json_is_string(value))
        return wrong_type(value, "a string", err);
    const char *name = json_string_value(node_of(value));
    if (!json_name_valid(name))
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be a name: 1 to %d of a-z, 0-9, - and _, a letter or digit first",
                       LIMIT_NAME);
    memcpy(out, name, strlen(name) + 1);
    return 0;
}

int json_read_seed(struct json value, uint64_t *out, struct err *err)
{
    if (json_is_string(value) && json_text_decimal(json_string_value(node_of(value)), out))
        return 0;
    if (json_is_integer(value)) {
        json_int_t seed = json_integer_value(node_of(value));
        if (seed >= 0 && seed <= JSON_SEED_NUMBER_MAX) {
            *out = (uint64_t)seed;
            return 0;
        }
    }
    if (value.node)
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be an integer from 0 to 9007199254740991, or a string of decimal "
                       "digits up to \"18446744073709551615\"");
    return wrong_type(value, "an integer", err);
}

/* Arrays of numbers. */

static int check_length(struct json array, const char *items, size_t max, struct err *err)
{
    if (!json_is_array(array))
        return wrong_type(array, "an array", err);
    size_t length = json_length(array);
    if (length == 0 || length > max)
        return err_set(err, ERR_INVALID, array.pointer, "must have between 1 and %zu %s, got %zu",
                       max, items, length);
    return 0;
}

static int read_float_row(struct json row, float *out, size_t cols, struct err *err)
{
    for (size_t i = 0; i < cols; i++) {
        const json_t *item = json_array_get(node_of(row), i);
        double number = json_number_value(item);
        if (json_typeof(item) != JSON_INTEGER && json_typeof(item) != JSON_REAL)
            return wrong_type(json_at(row, i), "a number", err);
        if (fabs(number) > (double)FLT_MAX)
            return err_set(err, ERR_INVALID, json_at(row, i).pointer,
                           "must be a number of at most 3.4e38 in size, got %s",
                           number_text(number).text);
        out[i] = (float)number;
    }
    return 0;
}

static int read_float_rows(struct json value, float *out, size_t rows, size_t cols, struct err *err)
{
    for (size_t i = 0; i < rows; i++) {
        struct json row = json_at(value, i);
        if (!json_is_array(row))
            return wrong_type(row, "an array of numbers", err);
        if (json_length(row) != cols)
            return err_set(err, ERR_INVALID, row.pointer,
                           "must have %zu numbers like the first row, got %zu", cols,
                           json_length(row));
        int code = read_float_row(row, out + i * cols, cols, err);
        if (code)
            return code;
    }
    return 0;
}

int json_read_matrix(struct json value, size_t rows_max, size_t cols_max, float **out, size_t *rows,
                     size_t *cols, struct err *err)
{
    int code = check_length(value, "rows", rows_max, err);
    if (!code)
        code = check_length(json_at(value, 0), "numbers", cols_max, err);
    if (code)
        return code;
    size_t row_count = json_length(value);
    size_t col_count = json_length(json_at(value, 0));
    size_t cells;
    float *cell = NULL;
    if (mem_size_mul(row_count, col_count, &cells))
        cell = mem_alloc(cells, sizeof *cell);
    if (!cell)
        return err_set(err, ERR_NOMEM, value.pointer, "not enough memory for %zu rows", row_count);
    code = read_float_rows(value, cell, row_count, col_count, err);
    if (code) {
        mem_free(cell);
        return code;
    }
    *out = cell;
    *rows = row_count;
    *cols = col_count;
    return 0;
}

int json_read_vector(struct json value, size_t count_max, double **out, size_t *count,
                     struct err *err)
{
    int code = check_length(value, "numbers", count_max, err);
    if (code)
        return code;
    size_t length = json_length(value);
    double *numbers = mem_alloc(length, sizeof *numbers);
    if (!numbers)
        return err_set(err, ERR_NOMEM, value.pointer, "not enough memory for %zu numbers", length);
    for (size_t i = 0; i < length && !code; i++)
        code = json_read_number(json_at(value, i), -DBL_MAX, DBL_MAX, &numbers[i], err);
    if (code) {
        mem_free(numbers);
        return code;
    }
    *out = numbers;
    *count = length;
    return 0;
}

/* Writing back. */

static void dump_value(struct json_writer *w, const char *key, const json_t *value);

static void dump_object(struct json_writer *w, const char *key, json_t *object)
{
    json_open_object(w, key);
    void *at = json_object_iter(object);
    for (; at; at = json_object_iter_next(object, at))
        dump_value(w, json_object_iter_key(at), json_object_iter_value(at));
    json_close_object(w);
}

static void dump_array(struct json_writer *w, const char *key, const json_t *array)
{
    json_open_array(w, key);
    for (size_t i = 0; i < json_array_size(array); i++)
        dump_value(w, NULL, json_array_get(array, i));
    json_close_array(w);
}

/* Recursion ends at LIMIT_JSON_DEPTH, which json_parse has checked. */
static void dump_value(struct json_writer *w, const char *key, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        dump_object(w, key, (json_t *)(uintptr_t)value);
        break;
    case JSON_ARRAY:
        dump_array(w, key, value);
        break;
    case JSON_STRING:
        json_write_string_n(w, key, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        json_write_integer(w, key, json_integer_value(value));
        break;
    case JSON_REAL:
        json_write_number(w, key, json_real_value(value));
        break;
    case JSON_NULL:
        json_write_null(w, key);
        break;
    default:
        json_write_boolean(w, key, json_typeof(value) == JSON_TRUE);
        break;
    }
}

int json_dump(struct json value, struct buf *out)
{
    struct json_writer w = json_writer(out);
    if (!value.node)
        return out->failed;
    dump_value(&w, NULL, node_of(value));
    return out->failed;
}

const char *json_library_version(void)
{
    return jansson_version_str();
}
