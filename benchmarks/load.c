/* The load generator: WebSocket clients and a publisher in one process.
 *
 * It opens clients, publishes messages and counts the frames that arrive.  It counts frames
 * by hopping from header to header, and never looks at payloads.  Sender and receiver share
 * one clock (CLOCK_MONOTONIC), so the latency of a frame is the time of the recv() that
 * completed it minus the time at which its message was handed over.
 *
 * Commands are lines on standard input; each is answered by one line of JSON:
 *
 *   open count=N channels=C first=F window=W subscribe=0|1 servers=S
 *       opens N clients; client i follows channel F + i % C at server i / C % S of those
 *       given by --ws (S=0: of all); at most W handshakes run at a time.  With subscribe=0
 *       the channel id is held back.
 *   subscribe expect=E window=W
 *       sends the ids that were held back; ends when each such client has E frames.
 *   publish first=F channels=C messages=M rate=R finish=0|1 probe=MS
 *       sends M messages to each of the C channels, in turn (message 1 to all, message
 *       2 to all ...), R per second or as fast as they are taken (R=0), then FINISHED if
 *       finish=1; ends when every follower has everything (and is closed, if finish=1).
 *       With probe=MS another client is opened every MS milliseconds.
 *   close
 *       drops all clients.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define STALL_NS 30000000000 /* give up if nothing has happened for so long */

struct target target = {.path = "/", .publish_path = "/"};

struct client clients[MAX_CLIENTS];
uint32_t used;
static int epoll;

uint32_t pending, incomplete, unclosed, unanswered;
uint64_t received, received_bytes, surplus, failed, lost, progress;

uint64_t *sent;
uint32_t sent_first, sent_channels, sent_messages;

struct samples latencies, handshakes;

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Samples, in milliseconds. */

void sample(struct samples *s, uint64_t ns)
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

void channel_id(char *text, size_t size, uint32_t channel)
{
    snprintf(text, size, "student_%08x-0000-4000-8000-0000%08x", channel * 2654435761u, channel);
}

void watch(int fd, uint32_t tag, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u32 = tag};
    if (epoll_ctl(epoll, operation, fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

int connect_to(int port, bool *done)
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

/* The loop. */

static void handle(struct epoll_event *event)
{
    if (event->data.u32 & PUBLISHER) {
        publisher_readable(event->data.u32 & ~PUBLISHER);
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

/* Handles what is ready on the sockets, after at most `wait_ns`. */
void turn(uint64_t wait_ns)
{
    struct epoll_event events[256];
    struct timespec wait = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(epoll, events, 256, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        handle(&events[i]);
}

void check_progress(void)
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
        case 'w':
            if (target.servers == MAX_SERVERS)
                die("more than %d servers", MAX_SERVERS);
            target.ws_ports[target.servers++] = atoi(optarg);
            break;
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
    prctl(PR_SET_TIMERSLACK, 1ul); /* otherwise each timed wait takes 50 us longer */
    parse_arguments(argc, argv);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    start_publishing();
    while (getline(&line, &room, stdin) > 0)
        obey(line);
    return 0;
}
