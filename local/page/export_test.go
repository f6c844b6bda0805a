package page

// PrefersHTML is prefersHTML, for its fuzz test.
var PrefersHTML = prefersHTML

// MaxOffers is how many messages the throw-away wallet keeps.
const MaxOffers = maxOffers
