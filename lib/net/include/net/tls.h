// TLS settings made once from PEM text and shared by many connections. No file is read here, except
// the system's own list of authorities when asked for.
#pragma once

#include "base/result.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::net {

// A peer whose chain has verified. `chain` holds DER certificates, the peer's own first, the trust
// anchor last. Views live during the call only.
struct PeerChain {
    std::span<const std::string> chain;
    std::string_view leaf() const { return chain.front(); }
};

// Decides about a peer after its chain verified and before any byte of it is read. An error refuses
// the peer with a TLS alert; its message becomes the connection's failure. Runs on the connection's
// thread; must not block.
using VerifyPeer = std::function<Status(const PeerChain&)>;

enum class PeerCertificate : unsigned char { not_asked, optional, required };

struct ServerTls {
    std::string chain_pem; // own certificate first
    std::string key_pem;
    std::string client_ca_pem; // needed unless peer is not_asked
    PeerCertificate peer = PeerCertificate::not_asked;
    VerifyPeer verify; // may be empty
    std::vector<std::string>
        alpn; // in order of preference; no common one: the handshake goes on without
    bool between_tiers = false; // TLS 1.3 only, no tickets; otherwise TLS 1.2 and later
};

struct ClientTls {
    std::string ca_pem;     // authorities to trust
    bool system_ca = false; // also those of the system
    std::string chain_pem;  // own certificate, may be empty
    std::string key_pem;
    VerifyPeer verify; // may be empty
    std::vector<std::string> alpn;
    bool between_tiers = false;
};

struct TlsState;

// Immutable once made; any thread. Connections keep what they need alive, so a new context can
// replace it while old connections go on. 0-RTT is never taken nor offered; tickets are given to
// browsers only (never where a client certificate is asked for, because a resumed session skips
// verification).
class TlsContext {
  public:
    // usage: PEM that does not parse, a key that does not fit, a missing authority.
    static Result<std::shared_ptr<const TlsContext>> server(const ServerTls& settings);
    static Result<std::shared_ptr<const TlsContext>> client(const ClientTls& settings);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    bool is_server() const;
    const TlsState& state() const { return *state_; } // for Conn

  private:
    explicit TlsContext(std::unique_ptr<TlsState> state);
    std::unique_ptr<TlsState> state_;
};

// SHA-256 of a DER certificate's SubjectPublicKeyInfo; usage when it does not parse.
Result<std::string> public_key_hash_of(std::string_view certificate_der);

} // namespace hasp::net
