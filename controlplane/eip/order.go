package eip

import (
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"time"

	"sluice/controlplane/fault"
)

// checkPeriod refuses a prepaid request without a period, or with one that is
// too long.
func checkPeriod(in Request) error {
	if !in.Prepaid {
		return nil // a period is not looked at
	}
	most, unit := monthsMax, "months"
	if in.Years {
		most, unit = yearsMax, "years"
	}
	switch {
	case in.Period == 0:
		return fault.New(fault.PeriodMissing, "a prepaid elastic IP needs a period of 1 to %d %s", most, unit)
	case in.Period < 1 || in.Period > most:
		return fault.New(fault.PeriodInvalid, "%d; write 1 to %d %s", in.Period, most, unit)
	}
	return nil
}

// expiry returns until when a prepaid elastic IP is paid. It is shown, and has
// no effect.
func expiry(from time.Time, in Request) time.Time {
	if in.Years {
		return from.AddDate(in.Period, 0, 0)
	}
	return from.AddDate(0, in.Period, 0)
}

// orderNumber draws a number of 15 digits, as the document's example has it.
func orderNumber(random io.Reader) (string, error) {
	const low, span = 100_000_000_000_000, 900_000_000_000_000
	n, err := rand.Int(random, big.NewInt(span))
	if err != nil {
		return "", fmt.Errorf("draw an order number: %w", err)
	}
	return fmt.Sprint(low + n.Int64()), nil
}
