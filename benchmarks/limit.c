/* The limit: the least that a monitor can do, in one bare loop.
 *
 * It reads the broker's messages with libzmq, appends each as a finished WebSocket frame
 * to its channel's log and makes one send() for each client.  It omits what no server may
 * omit: it trusts its clients, never checks a key or a length, escapes nothing, removes
 * nothing and has no timeouts.  It is a yardstick, not a monitor.
 *
 * Usage: limit WEBSOCKET_PORT ZMQ_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define MAX_CLIENTS 65536
#define MAX_CHANNELS 65536
#define BUCKETS 32768
#define PART 256 /* bytes taken of one part of a message */

struct client {
    uint64_t position; /* in its channel's log */
    uint32_t channel, index;
    bool upgraded, subscribed, waits;
};

struct channel {
    char id[64];
    char *log;
    size_t length, room;
    uint32_t *clients, count, clients_room;
    uint32_t next; /* index + 1 of another channel in its bucket */
    bool finished;
};

static struct client clients[MAX_CLIENTS]; /* by file descriptor */
static struct channel channels[MAX_CHANNELS];
static uint32_t buckets[BUCKETS], channel_count; /* index + 1 into channels */
static int epoll;

static const char handshake[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void *grow(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory)
        abort();
    return memory;
}

static uint32_t find_channel(const char *id)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *c = id; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    uint32_t *bucket = &buckets[(hash >> 20) % BUCKETS];
    for (uint32_t i = *bucket; i; i = channels[i - 1].next)
        if (!strcmp(channels[i - 1].id, id))
            return i - 1;
    if (channel_count == MAX_CHANNELS)
        abort();
    struct channel *channel = &channels[channel_count++];
    snprintf(channel->id, sizeof channel->id, "%s", id);
    channel->next = *bucket;
    return (*bucket = channel_count) - 1;
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event))
        abort();
}

/* Clients. */

static void leave(int fd)
{
    struct client *c = &clients[fd];
    struct channel *channel = &channels[c->channel];
    if (c->subscribed) {
        uint32_t last = channel->clients[--channel->count];
        channel->clients[c->index] = last;
        clients[last].index = c->index;
    }
    memset(c, 0, sizeof *c);
    close(fd);
}

/* Sends what lies between the client's position and the log's end. */
static void push(int fd)
{
    struct client *c = &clients[fd];
    struct channel *channel = &channels[c->channel];
    while (c->position < channel->length) {
        ssize_t length = send(fd, channel->log + c->position, channel->length - c->position,
                              MSG_NOSIGNAL);
        if (length < 0 && errno == EAGAIN && !c->waits) {
            c->waits = true;
            watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        }
        if (length < 0)
            return; /* if it is gone, reading will tell */
        c->position += (size_t)length;
    }
    if (c->waits) {
        c->waits = false;
        watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    }
    if (channel->finished)
        send(fd, "\x88\x02\x03\xe8", 4, MSG_NOSIGNAL);
}

static void subscribe(int fd, const uint8_t *frame)
{
    char id[64] = "";
    for (unsigned i = 0; i < (frame[1] & 127) && i < sizeof id - 1; i++)
        id[i] = (char)(frame[6 + i] ^ frame[2 + i % 4]);
    struct client *c = &clients[fd];
    c->channel = find_channel(id);
    struct channel *channel = &channels[c->channel];
    if (channel->count == channel->clients_room) {
        channel->clients_room = channel->clients_room ? 2 * channel->clients_room : 2;
        channel->clients = grow(channel->clients,
                                channel->clients_room * sizeof *channel->clients);
    }
    c->subscribed = true;
    c->index = channel->count;
    channel->clients[channel->count++] = (uint32_t)fd;
    push(fd);
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_CLIENTS)
            abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

/* Expects a handshake or a frame in one piece, as it comes on one machine. */
static void readable(int fd)
{
    uint8_t data[4096];
    struct client *c = &clients[fd];
    ssize_t length = recv(fd, data, sizeof data, 0);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0 || (data[0] & 15) == 8) {
        if (length > 0 && !(c->subscribed && channels[c->channel].finished))
            send(fd, "\x88\x02\x03\xe8", 4, MSG_NOSIGNAL);
        leave(fd);
    } else if (!c->upgraded) {
        c->upgraded = true;
        send(fd, handshake, sizeof handshake - 1, MSG_NOSIGNAL);
    } else if (!c->subscribed) {
        subscribe(fd, data);
    }
}

/* The broker. */

static void append(struct channel *channel, const char *text, uint8_t length)
{
    if (channel->length + 2u + length > channel->room) {
        channel->room += channel->room / 4 + 1024;
        channel->log = grow(channel->log, channel->room);
    }
    channel->log[channel->length++] = (char)0x81;
    channel->log[channel->length++] = (char)length;
    memcpy(channel->log + channel->length, text, length);
    channel->length += length;
}

static void publish(char parts[5][PART], int count)
{
    struct channel *channel = &channels[find_channel(parts[1])];
    char text[126];
    if (channel->finished)
        return;
    channel->finished = !strcmp(parts[2], "FINISHED");
    int length = count < 5 ? snprintf(text, sizeof text, "{\"command\": \"%s\"}", parts[2])
                           : snprintf(text, sizeof text, "{\"command\": \"%s\", \"task_id\": "
                                      "\"%s\", \"task_state\": \"%s\"}",
                                      parts[2], parts[3], parts[4]);
    append(channel, text, (uint8_t)(length > 125 ? 125 : length));
    for (uint32_t i = 0; i < channel->count; i++)
        push((int)channel->clients[i]);
}

/* Reads one message; false if there is none. */
static bool take_message(void *broker)
{
    char parts[5][PART];
    int count = 0, more = 1;
    size_t size = sizeof more;
    while (more) {
        int length = zmq_recv(broker, parts[count], PART - 1, ZMQ_DONTWAIT);
        if (length < 0)
            return false;
        parts[count][length > PART - 1 ? PART - 1 : length] = 0;
        zmq_getsockopt(broker, ZMQ_RCVMORE, &more, &size);
        count += count < 4;
    }
    publish(parts, count + (count == 4));
    return true;
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("limit: listen");
        exit(1);
    }
    return fd;
}

static void *bind_router(const char *port)
{
    char address[64];
    void *broker = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    zmq_setsockopt(broker, ZMQ_ROUTING_ID, "recodex-monitor", 15);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", port);
    if (zmq_bind(broker, address)) {
        fprintf(stderr, "limit: %s: %s\n", address, zmq_strerror(errno));
        exit(1);
    }
    return broker;
}

static void serve(int listener, void *broker)
{
    int broker_fd, count;
    size_t size = sizeof broker_fd;
    struct epoll_event events[256];
    zmq_getsockopt(broker, ZMQ_FD, &broker_fd, &size);
    watch(broker_fd, EPOLLIN, EPOLL_CTL_ADD);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    while ((count = epoll_wait(epoll, events, 256, -1)) >= 0 || errno == EINTR)
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == broker_fd)
                while (take_message(broker))
                    ;
            else if (fd == listener)
                accept_all(listener);
            else if (events[i].events & EPOLLOUT)
                push(fd);
            else
                readable(fd);
        }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 3) {
        fprintf(stderr, "usage: limit WEBSOCKET_PORT ZMQ_PORT\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    serve(listen_on(atoi(argv[1])), bind_router(argv[2]));
    return 1;
}
