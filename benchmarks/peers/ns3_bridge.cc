// ns-3's learning bridge over SimpleNetDevice, doing the work of the batch benchmarks: raw octets in, deliveries and
// counters out, learning on.
//
//     ns3_bridge TOPOLOGY
//
// TOPOLOGY is text, a line each: `host B` (the next host, on bridge B), `link B C` (two bridges joined),
// `rate BPS`, `delay NS`, `queue PACKETS` (every cable, from here on). Then a command a line on standard input:
//
//     load OCTETS SIZE INGRESS GAP   frames of SIZE octets end to end; the sending host of each as int32; ns between two
//     run                            forward them all once
//
// `run` answers `CPU_SECONDS DELIVERIES OCTETS`, the CPU time of the simulation alone.

#include "ns3/bridge-net-device.h"
#include "ns3/core-module.h"
#include "ns3/drop-tail-queue.h"
#include "ns3/network-module.h"

#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <vector>

using namespace ns3;

namespace
{

std::vector<Ptr<SimpleNetDevice>> hosts;
std::vector<uint64_t> received; // frames of every host
uint64_t receivedOctets = 0;

std::vector<uint8_t> octets;
std::vector<int32_t> ingress;
uint32_t frameSize = 0;
uint64_t gap = 1000;

template <typename T>
std::vector<T>
ReadFile(const std::string& path)
{
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    NS_ABORT_MSG_IF(!file, "cannot read " << path);
    std::vector<T> data(file.tellg() / sizeof(T));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(data.data()), data.size() * sizeof(T));
    return data;
}

double
CpuSeconds()
{
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

bool
Receive(Ptr<NetDevice> device,
        Ptr<const Packet> packet,
        uint16_t protocol,
        const Address& from,
        const Address& to,
        NetDevice::PacketType type)
{
    received[device->GetNode()->GetId()]++;
    receivedOctets += packet->GetSize() + 14;
    return true;
}

void
SendNext(uint32_t number)
{
    const uint8_t* frame = &octets[size_t(number) * frameSize];
    Mac48Address destination;
    Mac48Address source;
    destination.CopyFrom(frame);
    source.CopyFrom(frame + 6);
    auto packet = Create<Packet>(frame + 14, frameSize - 14);
    hosts[ingress[number]]->SendFrom(packet, source, destination, frame[12] << 8 | frame[13]);
    if (++number < ingress.size())
    {
        Simulator::Schedule(NanoSeconds(gap), &SendNext, number);
    }
}

class Builder
{
  public:
    void Line(const std::string& text)
    {
        std::istringstream words(text);
        std::string what;
        int a = 0;
        int b = 0;
        words >> what >> a >> b;
        if (what == "host")
        {
            auto node = CreateObject<Node>();
            hosts.push_back(Device(node));
            hosts.back()->SetPromiscReceiveCallback(MakeCallback(&Receive));
            Join(hosts.back(), Port(a));
        }
        else if (what == "link")
        {
            Join(Port(a), Port(b));
        }
        else
        {
            std::istringstream(text) >> what >> m_option[what];
        }
    }

  private:
    Ptr<SimpleNetDevice> Device(Ptr<Node> node)
    {
        auto device = CreateObject<SimpleNetDevice>();
        device->SetAddress(Mac48Address::Allocate());
        auto queue = CreateObject<DropTailQueue<Packet>>();
        uint64_t size = m_option.count("queue") ? m_option["queue"] : 1000;
        queue->SetMaxSize(QueueSize(QueueSizeUnit::PACKETS, size));
        device->SetQueue(queue);
        if (m_option.count("rate"))
        {
            device->SetAttribute("DataRate", DataRateValue(DataRate(m_option["rate"])));
        }
        node->AddDevice(device);
        return device;
    }

    Ptr<SimpleNetDevice> Port(int number)
    {
        if (!m_bridge.count(number))
        {
            auto node = CreateObject<Node>();
            auto bridge = CreateObject<BridgeNetDevice>();
            node->AddDevice(bridge);
            m_bridge[number] = bridge;
        }
        auto port = Device(m_bridge[number]->GetNode());
        m_bridge[number]->AddBridgePort(port);
        return port;
    }

    void Join(Ptr<SimpleNetDevice> one, Ptr<SimpleNetDevice> other)
    {
        auto channel = CreateObject<SimpleChannel>();
        channel->SetAttribute("Delay", TimeValue(NanoSeconds(m_option.count("delay") ? m_option["delay"] : 0)));
        one->SetChannel(channel);
        other->SetChannel(channel);
    }

    std::map<int, Ptr<BridgeNetDevice>> m_bridge;
    std::map<std::string, uint64_t> m_option;
};

void
Load(std::istringstream& words)
{
    std::string octetsPath;
    std::string ingressPath;
    words >> octetsPath >> frameSize >> ingressPath >> gap;
    octets = ReadFile<uint8_t>(octetsPath);
    ingress = ReadFile<int32_t>(ingressPath);
    std::cout << ingress.size() << std::endl;
}

void
Run()
{
    received.assign(received.size(), 0);
    receivedOctets = 0;
    Simulator::Schedule(NanoSeconds(gap), &SendNext, 0);
    double start = CpuSeconds();
    Simulator::Run();
    double used = CpuSeconds() - start;
    uint64_t frames = 0;
    for (auto count : received)
    {
        frames += count;
    }
    std::cout << used << " " << frames << " " << receivedOctets << std::endl;
}

} // namespace

int
main(int argc, char** argv)
{
    NS_ABORT_MSG_IF(argc != 2, "usage: ns3_bridge TOPOLOGY");
    Builder builder;
    std::ifstream topology(argv[1]);
    for (std::string line; std::getline(topology, line);)
    {
        builder.Line(line);
    }
    received.resize(NodeList::GetNNodes() + 1);
    for (std::string line; std::getline(std::cin, line);)
    {
        std::istringstream words(line);
        std::string command;
        words >> command;
        command == "load" ? Load(words) : Run();
    }
    return 0;
}
