/* Bodies of POST /sample and POST /trajectory: what is taken lies in the stated ranges. */
#include "core/base/check.h"
#include "proto/json.h"
#include "proto/request_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_body(const char *body, size_t size, bool trajectory)
{
    struct sample_request request;
    struct err err = {0};
    if (sample_request_decode(&request, body, size, trajectory, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    const struct sample_spec *spec = &request.spec;
    check(json_name_valid(request.model));
    check(spec->count >= 1 && spec->count <= LIMIT_COUNT);
    check(spec->steps >= 1 && spec->steps <= LIMIT_STEPS && spec->tableau);
    check(spec->rtol >= LIMIT_RTOL_MIN && spec->rtol <= 1);
    check(spec->atol >= LIMIT_ATOL_MIN && spec->atol <= 1);
    check(spec->max_evaluations >= SPEC_EVALUATIONS_MIN);
    check(spec->max_evaluations <= LIMIT_EVALUATIONS);
    check(spec->t0 >= 0 && spec->t0 <= 1 && spec->t1 >= 0 && spec->t1 <= 1);
    check(spec->frames <= LIMIT_FRAMES && spec->time_count <= LIMIT_FRAMES);
    check(trajectory || (!spec->times && spec->frames == 0));
    sample_spec_check(spec, spec->x0 ? spec->x0_dim : 2, &err);
    sample_request_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_start();
    try_body((const char *)data, size, false);
    try_body((const char *)data, size, true);
    return 0;
}
