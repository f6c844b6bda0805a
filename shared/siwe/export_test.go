package siwe

// ValidDomain reports whether text can be the domain of a message.
func ValidDomain(text string) bool { return !checkDomain(text).found() }

// TranslateRecap returns the sentence of a ReCap.
var TranslateRecap = translateRecap
