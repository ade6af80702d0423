#include "proto/net_codec.h"

#include <stdio.h>
#include <string.h>

enum { WORD_TEXT = 32 };
static const double scale_max = 1e6;
static const double turns_max = 1e6;
static const double period_max = 1e9;

static const char *const order_names[2] = {"sin_first", "cos_first"};
static const char *const position_names[2] = {"last", "first"};

/* One of two words; *out is whether it was the second. */
static int read_word(bool *out, struct json value, const char *const *names, struct err *err)
{
    const char *text;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (code)
        return code;
    *out = strcmp(text, names[1]) == 0;
    if (!*out && strcmp(text, names[0]) != 0)
        return err_set(err, ERR_INVALID, value.pointer, "must be %s or %s", names[0], names[1]);
    return 0;
}

static int read_scale(struct time_spec *time, struct json value, struct err *err)
{
    struct json scale = json_get(value, "scale");
    time->scale = 1;
    if (!json_present(scale))
        return 0;
    int code = json_read_number(scale, -scale_max, scale_max, &time->scale, err);
    if (!code && time->scale == 0)
        code = err_set(err, ERR_INVALID, scale.pointer, "must not be 0");
    return code;
}

/* n stands for 0.5, 1, .. n / 2 turns: sin and cos of k pi t, as zuko has them. */
static int read_half_turns(struct time_spec *time, struct json value, struct err *err)
{
    int64_t count;
    int code = json_read_integer(value, 1, LIMIT_TIME_FREQUENCIES, &count, err);
    if (code)
        return code;
    time->frequency_count = (size_t)count;
    for (size_t k = 0; k < time->frequency_count; k++)
        time->frequencies[k] = 0.5 * (double)(k + 1);
    return 0;
}

static int read_frequencies(struct time_spec *time, struct json value, struct err *err)
{
    if (json_is_number(value))
        return read_half_turns(time, value, err);
    size_t count = json_length(value);
    if (value.node && (!json_is_array(value) || count < 1 || count > LIMIT_TIME_FREQUENCIES))
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be an array of 1 to %d frequencies in turns, or how many half turns",
                       LIMIT_TIME_FREQUENCIES);
    if (!value.node)
        return err_set(err, ERR_INVALID, value.pointer, "is required");
    time->frequency_count = count;
    for (size_t k = 0; k < count; k++) {
        int code =
            json_read_number(json_at(value, k), -turns_max, turns_max, &time->frequencies[k], err);
        if (code)
            return code;
    }
    return 0;
}

static int read_dimension(struct time_spec *time, struct json value, struct err *err)
{
    int64_t dimension;
    int code = json_read_integer(value, 2, 2 * LIMIT_TIME_FREQUENCIES, &dimension, err);
    if (!code && dimension % 2 != 0)
        code = err_set(err, ERR_INVALID, value.pointer, "must be even, got %lld",
                       (long long)dimension);
    if (!code)
        time->frequency_count = (size_t)dimension / 2;
    return code;
}

static int read_features(struct time_spec *time, struct json value, struct err *err)
{
    int code;
    if (time->input == TIME_FOURIER) {
        code = read_frequencies(time, json_get(value, "frequencies"), err);
    } else {
        code = read_dimension(time, json_get(value, "dimension"), err);
        if (!code)
            code = json_read_number(json_get(value, "max_period"), 1, period_max, &time->max_period,
                                    err);
    }
    if (!code)
        code = read_word(&time->cos_first, json_get(value, "order"), order_names, err);
    if (!code)
        code = read_word(&time->before_x, json_get(value, "position"), position_names, err);
    return code;
}

static int read_input(enum time_input *out, struct json value, struct err *err)
{
    const char *text;
    static const char choice[] = "first, last, fourier or sinusoidal";
    if (!json_present(value))
        return err_set(err, ERR_INVALID, value.pointer, "is required: %s", choice);
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !time_input_find(text, out))
        code = err_set(err, ERR_INVALID, value.pointer, "must be %s", choice);
    return code;
}

static int read_time(struct time_spec *time, struct json value, struct err *err)
{
    static const char *const plain[] = {"input", "scale", NULL};
    static const char *const fourier[] = {"input",    "frequencies", "order",
                                          "position", "scale",       NULL};
    static const char *const sinusoidal[] = {"input",    "dimension", "max_period", "order",
                                             "position", "scale",     NULL};
    static const char *const *const known[] = {
        [TIME_FIRST] = plain,
        [TIME_LAST] = plain,
        [TIME_FOURIER] = fourier,
        [TIME_SINUSOIDAL] = sinusoidal,
    };
    if (json_present(value) && !json_is_object(value))
        return json_object_check(value, plain, err);
    int code = read_input(&time->input, json_get(value, "input"), err);
    if (!code)
        code = json_object_check(value, known[time->input], err);
    if (!code && known[time->input] != plain)
        code = read_features(time, value, err);
    if (!code)
        code = read_scale(time, value, err);
    return code;
}

int net_codec_read_time(struct time_spec *out, struct json value, struct err *err)
{
    struct time_spec time = {0};
    int code = read_time(&time, value, err);
    if (!code)
        *out = time;
    return code;
}

void net_codec_write_time(struct json_writer *w, const char *key, const struct time_spec *time)
{
    json_open_object(w, key);
    json_write_string(w, "input", time_input_name(time->input));
    if (time->input == TIME_FOURIER) {
        json_open_array(w, "frequencies");
        for (size_t k = 0; k < time->frequency_count; k++)
            json_write_number(w, NULL, time->frequencies[k]);
        json_close_array(w);
    } else if (time->input == TIME_SINUSOIDAL) {
        json_write_unsigned(w, "dimension", 2 * time->frequency_count);
        json_write_number(w, "max_period", time->max_period);
    }
    if (time->input == TIME_FOURIER || time->input == TIME_SINUSOIDAL) {
        json_write_string(w, "order", order_names[time->cos_first]);
        json_write_string(w, "position", position_names[time->before_x]);
    }
    json_write_number(w, "scale", time->scale);
    json_close_object(w);
}

int net_codec_read_activation(enum activation *out, struct json value, struct err *err)
{
    char names[160] = "";
    size_t length = 0;
    const char *text;
    if (json_is_string(value)) {
        int code = json_read_string(value, WORD_TEXT, &text, err);
        if (code)
            return code;
        if (activation_find(text, out))
            return 0;
    }
    for (int i = 0; i < ACTIVATION_COUNT && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "",
                                   activation_name((enum activation)i));
    if (!json_present(value))
        return err_set(err, ERR_INVALID, value.pointer, "is required: one of %s", names);
    return err_set(err, ERR_INVALID, value.pointer, "must be one of %s", names);
}

int net_codec_read_precision(enum precision *out, bool *given, struct json value, struct err *err)
{
    const char *text;
    *given = json_present(value);
    if (!*given)
        return 0;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && !precision_find(text, out))
        code = err_set(err, ERR_INVALID, value.pointer, "must be one of f32, bf16x3, bf16");
    return code;
}

int net_codec_read_word(struct json value, const char *word, struct err *err)
{
    const char *text;
    if (!json_present(value))
        return 0;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (!code && strcmp(text, word) != 0)
        code = err_set(err, ERR_INVALID, value.pointer, "must be %s; this version knows no other",
                       word);
    return code;
}
