/* The sender: a ROUTER, as the broker has it, or connections that post messages over HTTP. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zmq.h>

#define MAX_PUBLISHERS 4
#define PIPELINE 16          /* unanswered requests on one HTTP connection */

struct publisher {
    int fd;
    unsigned unanswered;
    size_t out_len, in_len, skip;
    char out[65536], in[16384];
};

static struct publisher publishers[MAX_PUBLISHERS];
static void *broker;

static const char *task_id(char *text, size_t size, uint32_t message)
{
    snprintf(text, size, "task_%014u", message); /* makes a JSON text of 80 bytes */
    return text;
}

static bool send_part(const char *text, int more)
{
    return zmq_send(broker, text, strlen(text), more | ZMQ_DONTWAIT) >= 0;
}

/* Sends as the broker does: a ROUTER addresses the monitor by name.  False: not taken now. */
static bool publish_zmq(uint32_t channel, uint32_t message, bool finished)
{
    char id[64], task[32];
    channel_id(id, sizeof id, channel);
    if (!send_part("recodex-monitor", ZMQ_SNDMORE)) {
        if (errno != EAGAIN && errno != EHOSTUNREACH)
            die("zmq_send: %s", zmq_strerror(errno));
        return false;
    }
    send_part(id, ZMQ_SNDMORE);
    if (finished)
        return send_part("FINISHED", 0);
    send_part("TASK", ZMQ_SNDMORE);
    send_part(task_id(task, sizeof task, message), ZMQ_SNDMORE);
    return send_part("COMPLETED", 0);
}

static void flush(struct publisher *p)
{
    ssize_t length = p->out_len ? send(p->fd, p->out, p->out_len, MSG_NOSIGNAL) : 0;
    if (length < 0 && errno != EAGAIN)
        die("publishing: %s", strerror(errno));
    if (length <= 0)
        return;
    p->out_len -= (size_t)length;
    memmove(p->out, p->out + length, p->out_len);
}

/* One channel always uses the same connection, which keeps its messages in order. */
static bool publish_http(uint32_t channel, uint32_t message, bool finished)
{
    struct publisher *p = &publishers[channel % MAX_PUBLISHERS];
    char id[64], task[32], path[256], body[128];
    if (p->unanswered == PIPELINE)
        return false;
    channel_id(id, sizeof id, channel);
    snprintf(path, sizeof path, target.publish_path, id);
    if (finished)
        strcpy(body, "{\"command\": \"FINISHED\"}");
    else
        snprintf(body, sizeof body,
                 "{\"command\": \"TASK\", \"task_id\": \"%s\", \"task_state\": \"COMPLETED\"}",
                 task_id(task, sizeof task, message));
    p->out_len += (size_t)snprintf(p->out + p->out_len, sizeof p->out - p->out_len,
                                   "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "Content-Length: %zu\r\n\r\n%s",
                                   path, strlen(body), body);
    p->unanswered++;
    unanswered++;
    return true;
}

/* Reads one response; false if it is not complete. */
static bool take_response(struct publisher *p)
{
    p->in[p->in_len] = 0;
    char *end = strstr(p->in, "\r\n\r\n"), *length = strcasestr(p->in, "\r\nContent-Length:");
    if (!end)
        return false;
    size_t size = (size_t)(end - p->in) + 4;
    if (length && length < end)
        size += strtoul(length + 17, NULL, 10);
    if (size > p->in_len)
        return false;
    if (memcmp(p->in, "HTTP/1.1 2", 10))
        die("publishing: %.*s", 40, p->in);
    p->in_len -= size;
    memmove(p->in, p->in + size, p->in_len);
    p->unanswered--;
    unanswered--;
    progress++;
    return true;
}

void publisher_readable(uint32_t number)
{
    struct publisher *p = &publishers[number];
    ssize_t length = recv(p->fd, p->in + p->in_len, sizeof p->in - 1 - p->in_len, 0);
    if (length == 0 || (length < 0 && errno != EAGAIN))
        die("publishing: the server closed the connection");
    if (length < 0)
        return;
    p->in_len += (size_t)length;
    while (p->in_len && take_response(p))
        ;
}

void start_publishing(void)
{
    bool done;
    int one = 1, none = 0, room = 10000;
    if (target.http) {
        for (uint32_t i = 0; i < MAX_PUBLISHERS; i++) {
            publishers[i].fd = connect_to(target.publish_port, &done);
            watch(publishers[i].fd, PUBLISHER | i, EPOLLIN, EPOLL_CTL_ADD);
        }
        return;
    }
    char address[64];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", target.publish_port);
    broker = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    /* Mandatory: a message that cannot be sent now is an error here, not lost. */
    zmq_setsockopt(broker, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(broker, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(broker, ZMQ_SNDHWM, &room, sizeof room);
    if (zmq_connect(broker, address))
        die("%s: %s", address, zmq_strerror(errno));
}

bool publish_message(uint32_t channel, uint32_t message, bool finished)
{
    return (target.http ? publish_http : publish_zmq)(channel, message, finished);
}

/* Hands over what the HTTP connections have not taken yet. */
void flush_publishers(void)
{
    for (uint32_t i = 0; target.http && i < MAX_PUBLISHERS; i++)
        flush(&publishers[i]);
}
