#include "server/jobs/job_verdict.h"

#include "server/train/job_dir.h"

enum job_verdict job_verdict_turn(const struct job_record *record, bool model_there)
{
    if (record->cancelling)
        return VERDICT_CANCEL;
    if (model_there)
        return VERDICT_PUBLISH;
    return record->stalls >= JOB_STALLS ? VERDICT_FAIL_LOOP : VERDICT_START;
}

enum job_verdict job_verdict_exit(const struct job_record *record, struct job_exit end)
{
    bool failed = end.signal == 0 && end.status == TRAINER_FAILED;
    if (record->cancelling && !failed)
        return VERDICT_CANCEL;
    if (end.signal == 0 && end.status == TRAINER_DONE)
        return VERDICT_PUBLISH;
    return failed ? VERDICT_FAIL : VERDICT_REQUEUE;
}
