#include "server/jobs/jobs.h"
#include "server/metrics.h"

static double count_queued(void *context)
{
    return (double)jobs_count_state(context, JOB_QUEUED);
}

static double count_running(void *context)
{
    return (double)jobs_count_state(context, JOB_RUNNING);
}

static double count_succeeded(void *context)
{
    return (double)jobs_count_state(context, JOB_SUCCEEDED);
}

static double count_failed(void *context)
{
    return (double)jobs_count_state(context, JOB_FAILED);
}

static double count_cancelled(void *context)
{
    return (double)jobs_count_state(context, JOB_CANCELLED);
}

int jobs_metrics(struct jobs *jobs, struct metrics *metrics)
{
    static const struct {
        const char *name;
        double (*read)(void *context);
    } gauges[JOB_STATES] = {
        {"advectd_jobs{state=\"queued\"}", count_queued},
        {"advectd_jobs{state=\"running\"}", count_running},
        {"advectd_jobs{state=\"succeeded\"}", count_succeeded},
        {"advectd_jobs{state=\"failed\"}", count_failed},
        {"advectd_jobs{state=\"cancelled\"}", count_cancelled},
    };
    for (size_t i = 0; i < JOB_STATES; i++) {
        int code = metrics_gauge(metrics, gauges[i].name, "Training jobs that are kept, by state.",
                                 gauges[i].read, jobs);
        if (code)
            return code;
    }
    return 0;
}
