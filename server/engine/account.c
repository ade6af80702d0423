#include "server/engine/account.h"

#include "core/base/check.h"

#include <math.h>

enum { ACCOUNT_RETRY_MAX = 60 };

/* Seconds of workers that the rate remembers, more or less: models come and go. */
#define ACCOUNT_MEMORY 20.0

double account_rate(const struct account *account)
{
    if (account->done_seconds <= 0)
        return 0;
    return account->done_cost / account->done_seconds * (double)account->workers;
}

/* How much of what is held must go until the charge fits: 0 to 1. */
static double account_excess(const struct account *account, const struct charge *charge)
{
    double cost = 0, bytes = 0, runs = 0;
    if (account->held.cost > 0)
        cost = (account->held.cost + charge->cost - account->cost_limit) / account->held.cost;
    if (account->held.bytes > 0)
        bytes = ((double)account->held.bytes + (double)charge->bytes -
                 (double)account->bytes_limit) /
                (double)account->held.bytes;
    if (account->runs >= account->runs_limit)
        runs = (double)(account->runs + 1 - account->runs_limit) / (double)account->runs;
    return fmin(1, fmax(cost, fmax(bytes, runs)));
}

static unsigned account_wait(const struct account *account, const struct charge *charge)
{
    double rate = account_rate(account);
    double seconds =
        rate > 0 ? ceil(account_excess(account, charge) * account->held.work / rate) : 1;
    return seconds < 1 ? 1 : seconds > ACCOUNT_RETRY_MAX ? ACCOUNT_RETRY_MAX : (unsigned)seconds;
}

static int account_refuse(const struct account *account, const struct charge *charge,
                          struct err *err)
{
    if (account->runs > 0 && account->held.cost + charge->cost > account->cost_limit)
        return err_set(err, ERR_OVERLOADED, "", "%.3g multiply-adds are waiting already",
                       account->held.cost);
    if (account->runs > 0 && (charge->bytes > account->bytes_limit ||
                              account->held.bytes > account->bytes_limit - charge->bytes))
        return err_set(err, ERR_OVERLOADED, "", "the requests in progress hold %.3g bytes already",
                       (double)account->held.bytes);
    if (account->runs >= account->runs_limit)
        return err_set(err, ERR_OVERLOADED, "", "%zu requests are in progress already",
                       account->runs);
    return 0;
}

int account_admit(struct account *account, struct charge *charge, struct err *err)
{
    charge->cost = fmin(charge->work, account->cost_limit / ACCOUNT_SHARE);
    int code = account_refuse(account, charge, err);
    if (code) {
        account->retry_seconds = account_wait(account, charge);
        return code;
    }
    account->held.work += charge->work;
    account->held.cost += charge->cost;
    account->held.bytes += charge->bytes;
    account->runs++;
    return 0;
}

void account_ease(struct account *account, struct charge *charge, double work_left)
{
    double cost_left = fmin(charge->cost, work_left);
    account->held.work -= charge->work - work_left;
    account->held.cost -= charge->cost - cost_left;
    charge->work = work_left;
    charge->cost = cost_left;
}

void account_leave(struct account *account, const struct charge *charge)
{
    check(account->runs > 0);
    account->runs--;
    account->held.bytes -= charge->bytes;
    /* Rounding must not pile up. */
    account->held.work = account->runs > 0 ? fmax(0, account->held.work - charge->work) : 0;
    account->held.cost = account->runs > 0 ? fmax(0, account->held.cost - charge->cost) : 0;
}

void account_measure(struct account *account, double cost, double seconds)
{
    account->done_cost += cost;
    account->done_seconds += seconds;
    if (account->done_seconds > ACCOUNT_MEMORY) {
        account->done_cost /= 2;
        account->done_seconds /= 2;
    }
}
