/* The clients' side of WebSocket: handshakes, and frames of which only the headers are read. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void start(struct client *c)
{
    bool done;
    c->started = now();
    c->fd = connect_to(target.ws_ports[c->server], &done);
    c->state = CONNECTING;
    watch(c->fd, (uint32_t)(c - clients), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

struct client *new_client(uint32_t channel)
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

void send_id(struct client *c)
{
    char id[64];
    channel_id(id, sizeof id, c->channel);
    send_frame(c, 1, id, (uint8_t)strlen(id));
    c->held = false;
}

void send_handshake(struct client *c)
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
                          path, target.ws_ports[c->server], target.ws_ports[c->server],
                          target.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                           "client_max_window_bits\r\n"
                                         : "");
    if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return; /* if it was refused, recv() will tell */
    c->state = HANDSHAKE;
    watch(c->fd, (uint32_t)(c - clients), EPOLLIN, EPOLL_CTL_MOD);
}

/* Ends the client's part in the running command. */
static void leave(struct client *c)
{
    if (c->leaves) {
        c->leaves = false;
        unclosed--;
    }
}

void drop(struct client *c)
{
    struct linger reset = {1, 0}; /* no TIME_WAIT: the ports are needed again */
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

/* Reads a header, or as much of it as there is; returns the bytes read. */
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

/* Expects a response head in one piece; returns its length, or 0 if it was no 101. */
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

void client_readable(struct client *c)
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
