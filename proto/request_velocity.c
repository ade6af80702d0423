#include "proto/request_codec.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/net_codec.h"

enum { WORD_TEXT = 32 };

/* One time for all points. */
static int read_shared_time(struct velocity_request *request, struct json value, struct err *err)
{
    double t;
    int code = json_read_number(value, 0, 1, &t, err);
    for (size_t i = 0; i < request->count && !code; i++)
        request->t[i] = (float)t;
    return code;
}

static int read_times(struct velocity_request *request, struct json value, struct err *err)
{
    request->t = mem_alloc(request->count, sizeof *request->t);
    if (!request->t)
        return err_set(err, ERR_NOMEM, value.pointer, "not enough memory for the times");
    if (!json_is_array(value))
        return read_shared_time(request, value, err);
    if (json_length(value) != request->count)
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be a number, or have %zu numbers, one for each point; got %zu",
                       request->count, json_length(value));
    for (size_t i = 0; i < request->count; i++) {
        double t;
        int code = json_read_number(json_at(value, i), 0, 1, &t, err);
        if (code)
            return code;
        request->t[i] = (float)t;
    }
    return 0;
}

static int read_output(struct velocity_request *request, struct json value, struct err *err)
{
    enum prediction output;
    const char *text;
    int code = json_read_string(value, WORD_TEXT, &text, err);
    if (code)
        return code;
    if (!prediction_find(text, &output))
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be one of velocity, data, noise, score");
    if (request->outputs[output])
        return err_set(err, ERR_INVALID, value.pointer, "names %s again", text);
    request->outputs[output] = true;
    return 0;
}

static int read_outputs(struct velocity_request *request, struct json value, struct err *err)
{
    size_t count = json_length(value);
    int code = 0;
    if (!json_present(value)) {
        request->outputs[PREDICTION_VELOCITY] = true;
        return 0;
    }
    if (!json_is_array(value) || count < 1 || count > PREDICTION_COUNT)
        return err_set(err, ERR_INVALID, value.pointer,
                       "must be an array of some of velocity, data, noise, score");
    for (size_t i = 0; i < count && !code; i++)
        code = read_output(request, json_at(value, i), err);
    return code;
}

static int read_request(struct velocity_request *request, struct json root, struct err *err)
{
    static const char *const known[] = {"model", "points", "t", "outputs", "precision", NULL};
    int code = json_object_check(root, known, err);
    if (!code)
        code = json_read_name(json_get(root, "model"), request->model, err);
    if (!code)
        code = json_read_matrix(json_get(root, "points"), LIMIT_COUNT, LIMIT_DIM, &request->points,
                                &request->count, &request->dim, err);
    if (!code)
        code = read_times(request, json_get(root, "t"), err);
    if (!code)
        code = read_outputs(request, json_get(root, "outputs"), err);
    if (!code)
        code = net_codec_read_precision(&request->precision, &request->has_precision,
                                        json_get(root, "precision"), err);
    return code;
}

int velocity_request_decode(struct velocity_request *out, const char *body, size_t size,
                            struct err *err)
{
    struct velocity_request request = {0};
    struct json_doc *doc;
    int code = json_parse(&doc, body, size, LIMIT_JSON_ROWS_BYTES, err);
    if (code)
        return code;
    code = read_request(&request, json_root(doc), err);
    json_free(doc);
    if (code)
        velocity_request_release(&request);
    else
        *out = request;
    return code;
}

void velocity_request_release(struct velocity_request *request)
{
    mem_free(request->points);
    mem_free(request->t);
    request->points = NULL;
    request->t = NULL;
}
