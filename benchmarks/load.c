/* The load generator: WebSocket clients and a publisher in one process.
 *
 * It opens clients, publishes messages and counts the frames that arrive.  Frames are
 * counted by hopping from header to header; payloads are never looked at.  Sender and
 * receiver share one clock (CLOCK_MONOTONIC), so the latency of a frame is the time of
 * the recv() that completed it minus the time at which its message was handed over.
 *
 * Commands come as lines on standard input, each is answered by one line of JSON:
 *
 *   open count=N channels=C first=F window=W subscribe=0|1
 *       opens N clients; client i follows channel F + i % C; at most W handshakes run
 *       at a time.  With subscribe=0 the channel id is held back.
 *   subscribe expect=E window=W
 *       sends the ids that were held back; ends when each such client has E frames.
 *   publish first=F channels=C messages=M rate=R finish=0|1 probe=MS
 *       sends M messages to each of the C channels, in turns (message 1 to all, message
 *       2 to all ...), R a second or as fast as they are taken (R=0), then FINISHED with
 *       finish=1; ends when every follower has everything (and is closed, if finish=1).
 *       With probe=MS one more client is opened every MS milliseconds.
 *   close
 *       drops all clients.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define MAX_CLIENTS 65536
#define MAX_PUBLISHERS 4
#define PIPELINE 16          /* unanswered requests on one HTTP connection */
#define BATCH 64             /* messages between two looks at the sockets */
#define STALL_NS 30000000000 /* give up when nothing has happened for so long */
#define PROBE_CHANNEL 0x7f000000
#define PUBLISHER 0x40000000 /* marks a publisher's connection in epoll data */

enum state { UNUSED, HELD, CONNECTING, HANDSHAKE, OPEN, CLOSED };

struct client {
    int fd;
    uint32_t channel;
    uint8_t state;
    bool held;               /* its id has not been sent */
    bool probe;
    bool leaves;             /* is to end with this command */
    uint8_t have;            /* bytes of a header that was cut in two */
    uint8_t opcode;
    uint8_t payload_have;    /* bytes of a control frame's payload */
    uint8_t head[10], payload[125];
    uint64_t skip;           /* payload bytes still to come */
    uint32_t frames, expected, base;
    uint64_t started;
};

struct publisher {
    int fd;
    unsigned unanswered;
    size_t out_len, in_len, skip;
    char out[65536], in[16384];
};

static struct {
    int ws_port, publish_port;
    const char *path, *publish_path;
    bool id_in_path, client_ends, http, deflate;
} target = {.path = "/", .publish_path = "/"};

static struct client clients[MAX_CLIENTS];
static uint32_t used;
static struct publisher publishers[MAX_PUBLISHERS];
static void *broker;
static int epoll;

/* What the running command waits for and has seen. */
static uint32_t pending, incomplete, unclosed, unanswered;
static uint64_t received, received_bytes, surplus, failed, lost, progress;

/* When each message of the running publish was handed over: sent[message][channel]. */
static uint64_t *sent;
static uint32_t sent_first, sent_channels, sent_messages;

struct samples {
    double *values;
    size_t count, room;
};
static struct samples latencies, handshakes;

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Samples, in milliseconds. */

static void sample(struct samples *s, uint64_t ns)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 4096;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (!s->values)
            die("out of memory");
    }
    s->values[s->count++] = (double)ns / 1e6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *s)
{
    if (!s->count)
        return;
    qsort(s->values, s->count, sizeof *s->values, ascending);
    printf(", \"%s_p50\": %.4f, \"%s_p99\": %.4f, \"%s_max\": %.4f", name,
           s->values[s->count / 2], name, s->values[s->count * 99 / 100], name,
           s->values[s->count - 1]);
}

/* Clients. */

static void channel_id(char *text, size_t size, uint32_t channel)
{
    snprintf(text, size, "student_%08x-0000-4000-8000-0000%08x", channel * 2654435761u, channel);
}

static void watch(int fd, uint32_t tag, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u32 = tag};
    if (epoll_ctl(epoll, operation, fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

static int connect_to(int port, bool *done)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *done = !connect(fd, (struct sockaddr *)&address, sizeof address);
    if (!*done && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    return fd;
}

static void start(struct client *c)
{
    bool done;
    c->started = now();
    c->fd = connect_to(target.ws_port, &done);
    c->state = CONNECTING;
    watch(c->fd, (uint32_t)(c - clients), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static struct client *new_client(uint32_t channel)
{
    if (used == MAX_CLIENTS)
        die("more than %d clients", MAX_CLIENTS);
    struct client *c = &clients[used++];
    memset(c, 0, sizeof *c);
    c->fd = -1;
    c->channel = channel;
    return c;
}

/* Frames from a client are masked; a mask of zeros leaves the payload as it is. */
static void send_frame(struct client *c, uint8_t opcode, const void *payload, uint8_t length)
{
    uint8_t frame[6 + 125] = {0x80 | opcode, 0x80 | length};
    memcpy(frame + 6, payload, length);
    if (send(c->fd, frame, 6u + length, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        die("send: %s", strerror(errno));
}

static void send_id(struct client *c)
{
    char id[64];
    channel_id(id, sizeof id, c->channel);
    send_frame(c, 1, id, (uint8_t)strlen(id));
    c->held = false;
}

static void send_handshake(struct client *c)
{
    char id[64], path[256], request[1024];
    channel_id(id, sizeof id, c->channel);
    snprintf(path, sizeof path, target.path, id);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                          "Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
                          "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nUpgrade: websocket\r\n"
                          "Origin: http://127.0.0.1:%d\r\nSec-WebSocket-Version: 13\r\n"
                          "Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                          path, target.ws_port, target.ws_port,
                          target.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                           "client_max_window_bits\r\n"
                                         : "");
    if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return; /* refused; recv() will tell */
    c->state = HANDSHAKE;
    watch(c->fd, (uint32_t)(c - clients), EPOLLIN, EPOLL_CTL_MOD);
}

/* The client's part in the running command is over. */
static void leave(struct client *c)
{
    if (c->leaves) {
        c->leaves = false;
        unclosed--;
    }
}

static void drop(struct client *c)
{
    struct linger reset = {1, 0}; /* no TIME_WAIT: thousands of ports are needed again */
    if (c->fd < 0)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
}

static void end_of_stream(struct client *c)
{
    if (c->state < OPEN)
        failed++, pending--;
    else if (c->state == OPEN)
        lost++;
    if (c->frames < c->expected)
        incomplete--;
    leave(c);
    drop(c);
}

static void got_message(struct client *c, uint64_t time)
{
    uint32_t message = c->frames - c->base, channel = c->channel - sent_first;
    received++;
    if (channel < sent_channels && message < sent_messages)
        sample(&latencies, time - sent[(size_t)message * sent_channels + channel]);
    if (++c->frames > c->expected)
        surplus++;
    if (c->frames != c->expected)
        return;
    incomplete--;
    if (c->leaves && target.client_ends)
        send_frame(c, 8, "\x03\xe8", 2);
}

static void got_frame(struct client *c, uint64_t time)
{
    if (c->opcode <= 2 && c->head[0] & 0x80) /* the last frame of a message */
        got_message(c, time);
    else if (c->opcode == 9)
        send_frame(c, 10, c->payload, c->payload_have);
    else if (c->opcode == 8 && c->state == OPEN) {
        if (!(c->leaves && target.client_ends))
            send_frame(c, 8, c->payload, c->payload_have);
        if (!c->leaves)
            lost++;
        c->state = CLOSED;
        leave(c);
    }
}

static unsigned header_size(const uint8_t *head)
{
    return (head[1] & 127) == 127 ? 10 : (head[1] & 127) == 126 ? 4 : 2;
}

static uint64_t payload_size(const uint8_t *head)
{
    unsigned size = header_size(head);
    uint64_t length = 0;
    if (size == 2)
        return head[1] & 127;
    for (unsigned i = 2; i < size; i++)
        length = length << 8 | head[i];
    return length;
}

/* Takes a header, or as much of it as there is; returns the bytes taken. */
static size_t take_header(struct client *c, const uint8_t *data, size_t length)
{
    size_t taken = 0;
    while (c->have < 2 || c->have < header_size(c->head)) {
        if (taken == length)
            return taken;
        c->head[c->have++] = data[taken++];
    }
    c->opcode = c->head[0] & 15;
    c->skip = payload_size(c->head);
    c->payload_have = 0;
    received_bytes += c->skip;
    return taken;
}

static void take_frames(struct client *c, const uint8_t *data, size_t length, uint64_t time)
{
    while (length) {
        size_t taken = c->skip ? 0 : take_header(c, data, length);
        data += taken, length -= taken;
        if (!c->skip && (c->have < 2 || c->have < header_size(c->head)))
            return;
        size_t part = c->skip < length ? c->skip : length;
        if (c->opcode >= 8 && c->payload_have + part <= sizeof c->payload) {
            memcpy(c->payload + c->payload_have, data, part);
            c->payload_have += (uint8_t)part;
        }
        data += part, length -= part;
        c->skip -= part;
        if (!c->skip) {
            c->have = 0;
            got_frame(c, time);
        }
    }
}

/* A response head is expected in one piece; returns its length, 0 if it was no 101. */
static size_t take_handshake(struct client *c, char *data, size_t length, uint64_t time)
{
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end || length < 12 || memcmp(data, "HTTP/1.1 101", 12))
        return 0;
    sample(&handshakes, time - c->started);
    c->state = OPEN;
    pending--;
    if (!target.id_in_path && !c->held)
        send_id(c);
    return (size_t)(end - data) + 4;
}

static void client_readable(struct client *c)
{
    static uint8_t data[262144];
    ssize_t length = recv(c->fd, data, sizeof data, 0);
    uint64_t time = now();
    size_t head = 0;
    if (length < 0 && errno == EAGAIN)
        return;
    progress++;
    if (length > 0 && c->state == HANDSHAKE)
        head = take_handshake(c, (char *)data, (size_t)length, time);
    if (length <= 0 || c->state < OPEN) {
        end_of_stream(c);
        return;
    }
    take_frames(c, data + head, (size_t)length - head, time);
    if (c->probe)
        drop(c);
}

/* Publishing. */

static const char *task_id(char *text, size_t size, uint32_t message)
{
    snprintf(text, size, "task_%014u", message); /* makes a JSON text of 80 bytes */
    return text;
}

static bool send_part(const char *text, int more)
{
    return zmq_send(broker, text, strlen(text), more | ZMQ_DONTWAIT) >= 0;
}

/* As the broker does: a ROUTER addresses the monitor by name.  False: not taken now. */
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

/* Takes one response; false when it is not complete. */
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

static void publisher_readable(struct publisher *p)
{
    ssize_t length = recv(p->fd, p->in + p->in_len, sizeof p->in - 1 - p->in_len, 0);
    if (length == 0 || (length < 0 && errno != EAGAIN))
        die("publishing: the server closed the connection");
    if (length < 0)
        return;
    p->in_len += (size_t)length;
    while (p->in_len && take_response(p))
        ;
}

static void start_publishing(void)
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

/* The loop. */

static void handle(struct epoll_event *event)
{
    if (event->data.u32 & PUBLISHER) {
        publisher_readable(&publishers[event->data.u32 & ~PUBLISHER]);
        return;
    }
    struct client *c = &clients[event->data.u32];
    if (c->fd < 0)
        return;
    if (c->state == CONNECTING && event->events & EPOLLOUT)
        send_handshake(c);
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_readable(c);
}

/* One look at the sockets, after at most `wait_ns`. */
static void turn(uint64_t wait_ns)
{
    struct epoll_event events[256];
    struct timespec wait = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(epoll, events, 256, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        handle(&events[i]);
}

static void check_progress(void)
{
    static uint64_t seen, since;
    if (progress != seen || !since)
        seen = progress, since = now();
    if (now() - since > STALL_NS)
        die("nothing has happened for 30 s: %u connecting, %u without all messages, %u not "
            "closed, %u requests unanswered", pending, incomplete, unclosed, unanswered);
}

static void begin(void)
{
    latencies.count = handshakes.count = 0;
    received = received_bytes = surplus = failed = lost = 0;
    sent_channels = 0;
    progress++;
}

static void answer(uint64_t started)
{
    printf("{\"seconds\": %.6f, \"received\": %lu, \"bytes\": %lu, \"surplus\": %lu, "
           "\"failed\": %lu, \"lost\": %lu", (double)(now() - started) / 1e9, received,
           received_bytes, surplus, failed, lost);
    print_samples("latency", &latencies);
    print_samples("handshake", &handshakes);
    printf("}\n");
    fflush(stdout);
}

/* Commands. */

static uint32_t argument(const char *line, const char *name)
{
    const char *found = strstr(line, name);
    return found ? (uint32_t)strtoul(found + strlen(name), NULL, 10) : 0;
}

static void open_clients(const char *line)
{
    uint32_t count = argument(line, " count="), channels = argument(line, " channels="),
             first = argument(line, " first="), window = argument(line, " window=");
    bool held = !argument(line, " subscribe=");
    for (uint32_t i = 0; i < count || pending;) {
        for (; i < count && pending < window; i++) {
            struct client *c = new_client(first + i % channels);
            c->held = held;
            c->state = HELD;
            if (held && target.id_in_path)
                continue; /* its handshake is its subscription */
            pending++;
            start(c);
        }
        if (pending)
            turn(100000000);
        check_progress();
    }
}

static void subscribe_one(struct client *c, uint32_t expect)
{
    c->expected = c->frames + expect;
    incomplete++;
    if (target.id_in_path) {
        c->held = false;
        pending++;
        start(c);
    } else {
        send_id(c);
    }
}

static void subscribe_clients(const char *line)
{
    uint32_t expect = argument(line, " expect="), window = argument(line, " window=");
    for (uint32_t i = 0; i < used || incomplete;) {
        for (; i < used && incomplete < window; i++)
            if (clients[i].held)
                subscribe_one(&clients[i], expect);
        if (incomplete)
            turn(100000000);
        check_progress();
    }
}

struct order {
    uint32_t first, channels, messages, rate, finish, probe;
    uint64_t total, next, started, probed;
};

static void expect_order(struct order *o)
{
    uint32_t each = o->messages + (o->finish ? 1 : 0);
    for (uint32_t i = 0; i < used; i++) {
        struct client *c = &clients[i];
        if (c->state != OPEN || c->channel - o->first >= o->channels)
            continue;
        c->base = c->frames;
        c->expected = c->frames + each;
        incomplete++;
        c->leaves = o->finish;
        unclosed += o->finish;
    }
    sent = realloc(sent, (size_t)each * o->channels * sizeof *sent);
    if (!sent)
        die("out of memory");
    sent_first = o->first, sent_channels = o->channels, sent_messages = each;
}

/* Hands over what is due, at most BATCH messages; false when the server takes no more. */
static bool publish_due(struct order *o)
{
    uint64_t due = o->rate ? (now() - o->started) * o->rate / 1000000000 + 1 : o->total;
    uint64_t end = o->next + BATCH;
    bool taken = true;
    if (end > due)
        end = due;
    if (end > o->total)
        end = o->total;
    for (; o->next < end && taken; o->next += taken) {
        uint32_t message = (uint32_t)(o->next / o->channels);
        uint32_t channel = o->first + (uint32_t)(o->next % o->channels);
        sent[o->next] = now();
        taken = (target.http ? publish_http : publish_zmq)(channel, message,
                                                           message == o->messages);
        progress += taken;
    }
    for (uint32_t i = 0; target.http && i < MAX_PUBLISHERS; i++)
        flush(&publishers[i]);
    return taken;
}

/* How long the loop may sleep before something has to be sent, in ns. */
static uint64_t until_due(struct order *o, bool taken)
{
    uint64_t time = now() - o->started;
    if (o->next == o->total)
        return 10000000;
    if (!taken)
        return 200000;
    if (!o->rate)
        return 0;
    uint64_t due = o->next * 1000000000 / o->rate + 1;
    return due <= time ? 0 : due - time < 10000000 ? due - time : 10000000;
}

static void probe(struct order *o)
{
    if (!o->probe || o->next == o->total || now() - o->probed < o->probe * 1000000ull)
        return;
    o->probed = now();
    struct client *c = new_client(PROBE_CHANNEL);
    c->probe = true;
    pending++;
    start(c);
}

static void publish(const char *line)
{
    struct order o = {argument(line, " first="), argument(line, " channels="),
                      argument(line, " messages="), argument(line, " rate="),
                      argument(line, " finish="), argument(line, " probe="),
                      .next = 0, .started = now()};
    o.total = (uint64_t)(o.messages + (o.finish ? 1 : 0)) * o.channels;
    expect_order(&o);
    while (o.next < o.total || incomplete || unclosed || unanswered || pending) {
        bool taken = publish_due(&o);
        probe(&o);
        turn(until_due(&o, taken));
        check_progress();
    }
}

static void close_clients(void)
{
    for (uint32_t i = 0; i < used; i++)
        drop(&clients[i]);
    used = 0;
}

static void obey(const char *line)
{
    uint64_t started = now();
    begin();
    if (!strncmp(line, "open ", 5))
        open_clients(line);
    else if (!strncmp(line, "subscribe ", 10))
        subscribe_clients(line);
    else if (!strncmp(line, "publish ", 8))
        publish(line);
    else if (!strncmp(line, "close", 5))
        close_clients();
    else
        die("unknown command: %s", line);
    answer(started);
}

static void parse_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"ws", required_argument, 0, 'w'},           {"path", required_argument, 0, 'p'},
        {"id-in-path", no_argument, 0, 'i'},         {"client-ends", no_argument, 0, 'e'},
        {"zmq", required_argument, 0, 'z'},          {"http", required_argument, 0, 'h'},
        {"publish-path", required_argument, 0, 'q'}, {"deflate", no_argument, 0, 'd'},
        {0, 0, 0, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'w': target.ws_port = atoi(optarg); break;
        case 'p': target.path = optarg; break;
        case 'i': target.id_in_path = true; break;
        case 'e': target.client_ends = true; break;
        case 'z': target.publish_port = atoi(optarg); break;
        case 'h': target.publish_port = atoi(optarg), target.http = true; break;
        case 'q': target.publish_path = optarg; break;
        case 'd': target.deflate = true; break;
        default: exit(2);
        }
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1ul); /* else each timed wait is 50 us longer than asked */
    parse_arguments(argc, argv);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    start_publishing();
    while (getline(&line, &room, stdin) > 0)
        obey(line);
    return 0;
}
