package api

import (
	"net/http"
	"strings"

	"latchkey/shared/session"
)

// The families are hashed into every session that is bound to them. If a line
// below is changed or moved, sessions look as if their device had changed.
// Lines may be added for agents that match none so far.

// browsers are matched in order, the more specific before the less: nearly
// every browser claims to be Chrome and Safari.
var browsers = []struct{ mark, family string }{
	{"MetaMaskMobile", "MetaMask"},
	{"CoinbaseBrowser", "Coinbase Wallet"}, {"CoinbaseWallet", "Coinbase Wallet"},
	{"Trust/", "Trust Wallet"}, {"imToken", "imToken"},
	{"TokenPocket", "TokenPocket"}, {"OKApp", "OKX Wallet"},
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"},
	{"OPR/", "Opera"}, {"OPT/", "Opera"}, {"OPiOS/", "Opera"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
	{"CriOS/", "Chrome"}, {"Chromium/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

var systems = []struct {
	mark, family string
	class        session.DeviceClass
}{
	{"iPhone", "iOS", session.Mobile}, {"iPod", "iOS", session.Mobile},
	{"iPad", "iPadOS", session.Tablet},
	{"Android", "Android", session.Tablet},
	{"Windows", "Windows", session.Desktop}, {"CrOS", "ChromeOS", session.Desktop},
	{"Macintosh", "macOS", session.Desktop},
	{"Linux", "Linux", session.Desktop}, {"X11", "Linux", session.Desktop},
}

// maxDeviceID is the maximum size of a client's own id for its device, in
// bytes.
const maxDeviceID = 256

// clientOver returns the client of this request, which holds its tokens in the
// given transport. It fails with a problem of status 400 if X-Device-Id is not
// valid.
func (x *exchange) clientOver(transport session.Transport) (session.Client, error) {
	device := x.device()
	if ids := x.r.Header.Values("X-Device-Id"); len(ids) > 0 {
		if len(ids) > 1 || !validDeviceID(ids[0]) {
			return session.Client{}, invalid(
				"X-Device-Id must be one value of 1 to 256 visible ASCII characters without comma")
		}
		device.ID = ids[0]
	}
	return session.Client{
		IP: x.info.SourceIP, Device: device, Transport: transport, ReadOnly: x.readOnly,
		NotEvaluated: x.unknown.device, NoNetwork: x.unknown.network,
		NoDeviceID:     x.unknown.deviceID && device.ID == "",
		NoPolicyResult: transport == session.Cookie && withoutScript(x.r.Header),
	}, nil
}

// withoutScript reports whether a browser sent the request by itself, by Fetch
// Metadata: for a link, a form, an image, a download. Any page can cause that,
// and such a request has the session cookie but no X-Device-Id. A thief who
// sends the header gains nothing: such a request passes only if device and
// network match.
func withoutScript(header http.Header) bool {
	modes := header.Values("Sec-Fetch-Mode")
	return len(modes) == 1 && (modes[0] == "navigate" || modes[0] == "no-cors")
}

func validDeviceID(id string) bool {
	hidden := func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }
	return id != "" && len(id) <= maxDeviceID && !strings.ContainsFunc(id, hidden)
}

// device returns the device that the user agent of the request names. It is read
// once.
func (x *exchange) device() session.Device {
	if x.client.Device.Name == "" { // no device is without a name
		x.client.Device = deviceOf(x.r.Header)
	}
	return x.client.Device
}

// deviceOf reads from the user agent what stays the same over updates: the
// families and the class, no version.
func deviceOf(header http.Header) session.Device {
	agent := header.Get("User-Agent")
	d := session.Device{Browser: browserOf(agent)}
	for _, s := range systems {
		if strings.Contains(agent, s.mark) {
			d.OS, d.Class = s.family, s.class
			break
		}
	}
	if d.OS == "Android" && strings.Contains(agent, "Mobile") {
		d.Class = session.Mobile
	}
	d.Name = d.DefaultName()
	return d
}

// browserOf returns the browser's family. If none matches it returns the first
// product of the user agent, without its version.
func browserOf(agent string) string {
	for _, b := range browsers {
		if strings.Contains(agent, b.mark) {
			return b.family
		}
	}
	end := strings.IndexFunc(agent, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '.' || r == '_' || r == '-')
	})
	if end < 0 {
		end = len(agent)
	}
	return agent[:min(end, 32)]
}
