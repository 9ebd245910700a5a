/*
 * The real kernel doing the work of the batch benchmarks: sends raw octets through one packet socket, many per call.
 *
 *     packet_sender DEVICE...
 *
 * Commands a line on standard input, as those of ns3_bridge:
 *
 *     load OCTETS SIZE INGRESS GAP   frames of SIZE octets end to end; index of the sending device of each as int32
 *     run                            send them all once
 *
 * `run` answers `CPU_SECONDS FRAMES`: the CPU time of this process, in which the kernel does all its work (bridge, veth
 * and macvlan run in the sender's context).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BURST 64

static unsigned char *octets;
static int32_t *ingress;
static size_t frames, frame_size;

static void *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	void *data;

	if (!file)
		err(1, "%s", path);
	fseek(file, 0, SEEK_END);
	*size = ftell(file);
	rewind(file);
	data = malloc(*size);
	if (!data || fread(data, 1, *size, file) != *size)
		errx(1, "cannot read %s", path);
	fclose(file);
	return data;
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static void load(const char *line)
{
	char octets_path[4096], ingress_path[4096];
	size_t size;

	if (sscanf(line, "load %4095s %zu %4095s", octets_path, &frame_size, ingress_path) != 3)
		errx(1, "cannot understand: %s", line);
	free(octets);
	free(ingress);
	octets = read_file(octets_path, &size);
	ingress = read_file(ingress_path, &size);
	frames = size / sizeof(*ingress);
	printf("%zu\n", frames);
}

static void send_all(int sock, struct sockaddr_ll *devices)
{
	struct mmsghdr messages[BURST];
	struct iovec parts[BURST];
	size_t done = 0;

	memset(messages, 0, sizeof(messages));
	while (done < frames) {
		size_t count = frames - done < BURST ? frames - done : BURST;
		int sent;

		for (size_t n = 0; n < count; n++) {
			parts[n].iov_base = octets + (done + n) * frame_size;
			parts[n].iov_len = frame_size;
			messages[n].msg_hdr.msg_iov = &parts[n];
			messages[n].msg_hdr.msg_iovlen = 1;
			messages[n].msg_hdr.msg_name = &devices[ingress[done + n]];
			messages[n].msg_hdr.msg_namelen = sizeof(*devices);
		}
		sent = sendmmsg(sock, messages, count, 0);
		if (sent < 0 && errno != ENOBUFS)
			err(1, "sendmmsg");
		done += sent > 0 ? sent : 0;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_ll *devices = calloc(argc, sizeof(*devices));
	int sock = socket(AF_PACKET, SOCK_RAW, 0);
	char line[16384];

	if (sock < 0)
		err(1, "packet socket");
	for (int n = 1; n < argc; n++) {
		devices[n - 1].sll_family = AF_PACKET;
		devices[n - 1].sll_halen = ETH_ALEN;
		devices[n - 1].sll_ifindex = if_nametoindex(argv[n]);
		if (!devices[n - 1].sll_ifindex)
			err(1, "%s", argv[n]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		double start;

		if (!strncmp(line, "load", 4)) {
			load(line);
			continue;
		}
		start = cpu_seconds();
		send_all(sock, devices);
		printf("%.9f %zu\n", cpu_seconds() - start, frames);
	}
	return 0;
}
