/* What the parts of the load generator know of each other. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CLIENTS 65536
#define MAX_SERVERS 8
#define PUBLISHER 0x40000000 /* marks a publisher's connection in epoll data */

enum state { UNUSED, HELD, CONNECTING, HANDSHAKE, OPEN, CLOSED };

struct client {
    int fd;
    uint32_t channel, server;
    uint8_t state;
    bool held;               /* its id has not been sent */
    bool probe;
    bool leaves;             /* to be closed during this command */
    uint8_t have;            /* bytes of a header that was cut in two */
    uint8_t opcode;
    uint8_t payload_have;    /* bytes of a control frame's payload */
    uint8_t head[10], payload[125];
    uint64_t skip;           /* payload bytes still to come */
    uint32_t frames, expected, base;
    uint64_t started;
};

/* load.c: the state that everything shares, the loop, and small helpers. */

extern struct target {
    int ws_ports[MAX_SERVERS], publish_port;
    uint32_t servers;
    const char *path, *publish_path;
    bool id_in_path, client_ends, http, deflate;
} target;

extern struct client clients[MAX_CLIENTS];
extern uint32_t used;

/* What the running command waits for and has seen. */
extern uint32_t pending, incomplete, unclosed, unanswered;
extern uint64_t received, received_bytes, surplus, failed, lost, progress;

/* When each message of the running publish was handed over: sent[message][channel]. */
extern uint64_t *sent;
extern uint32_t sent_first, sent_channels, sent_messages;

struct samples {
    double *values;
    size_t count, room;
};
extern struct samples latencies, handshakes;

void die(const char *format, ...);
uint64_t now(void);
void sample(struct samples *s, uint64_t ns);
void channel_id(char *text, size_t size, uint32_t channel);
void watch(int fd, uint32_t tag, uint32_t events, int operation);
int connect_to(int port, bool *done);
void turn(uint64_t wait_ns);
void check_progress(void);

/* load_clients.c: the clients' side of WebSocket. */

void start(struct client *c);
struct client *new_client(uint32_t channel);
void send_id(struct client *c);
void send_handshake(struct client *c);
void drop(struct client *c);
void client_readable(struct client *c);

/* load_publishing.c: the broker, or publishers over HTTP. */

void start_publishing(void);
bool publish_message(uint32_t channel, uint32_t message, bool finished);
void flush_publishers(void);
void publisher_readable(uint32_t number);

/* load_commands.c: what standard input asks for. */

void open_clients(const char *line);
void subscribe_clients(const char *line);
void publish(const char *line);
void close_clients(void);
