// Package secureheaders has the headers that every answer of a function has,
// whatever is in it.
package secureheaders

// Values has the values of the headers by canonical name. They are the headers
// that helmet sets for an API. It must not be changed.
var Values = map[string]string{
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none';" +
		" base-uri 'none'; form-action 'none'",
	"Cross-Origin-Opener-Policy":        "same-origin",
	"Cross-Origin-Resource-Policy":      "same-origin",
	"Origin-Agent-Cluster":              "?1",
	"Referrer-Policy":                   "no-referrer",
	"Strict-Transport-Security":         "max-age=31536000; includeSubDomains",
	"X-Content-Type-Options":            "nosniff",
	"X-Dns-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Frame-Options":                   "DENY",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-Xss-Protection":                  "0",
}
