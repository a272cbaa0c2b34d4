#include "daemon/pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void run(uv_work_t *request)
{
    struct job *job = request->data;
    job->work(job);
}

static void finished(uv_work_t *request, int status)
{
    struct job *job = request->data;
    (void)status; /* jobs are never cancelled: their owners ignore what they no longer need */
    job->after(job);
}

void pool_prepare(void)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", POOL_THREADS);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}

void pool_submit(uv_loop_t *loop, struct job *job)
{
    job->request.data = job;
    int rc = uv_queue_work(loop, &job->request, run, finished);
    assert(rc == 0); /* it fails only without a work function */
    (void)rc;
}
