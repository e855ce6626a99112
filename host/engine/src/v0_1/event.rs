//! Canonical events between the line's words and the bus's.

use unrip_core::event::canonical as core;

use super::bindings::shared::unrip::types::canonical as wit;
use super::{amount_in, attributes_in, attributes_out, filled, invalid};
use crate::CanonicalEvent;
use crate::fault::Fault;

pub(crate) fn event_in(event: wit::Event) -> Result<CanonicalEvent, Fault> {
    Ok(match event {
        wit::Event::SwapDemand(event) => CanonicalEvent::SwapDemand(demand_in(event)?),
        wit::Event::SwapSettlement(event) => CanonicalEvent::SwapSettlement(settlement_in(event)?),
        wit::Event::BookTop(event) => CanonicalEvent::BookTop(book_top_in(event)?),
        wit::Event::Trade(event) => CanonicalEvent::Trade(trade_in(event)?),
    })
}

pub(crate) fn event_out(event: &CanonicalEvent) -> wit::Event {
    match event {
        CanonicalEvent::SwapDemand(event) => wit::Event::SwapDemand(demand_out(event)),
        CanonicalEvent::SwapSettlement(event) => wit::Event::SwapSettlement(settlement_out(event)),
        CanonicalEvent::BookTop(event) => wit::Event::BookTop(book_top_out(event)),
        CanonicalEvent::Trade(event) => wit::Event::Trade(trade_out(event)),
    }
}

fn demand_in(event: wit::SwapDemand) -> Result<core::SwapDemand, Fault> {
    let amount = |field: &str, text: Option<String>| text.map(|text| amount_in(field, &text)).transpose();
    let amounts = (amount("amount-in", event.amount_in)?, amount("amount-out", event.amount_out)?);
    if amounts.0.is_some() == amounts.1.is_some() {
        let given = if amounts.0.is_some() { "both amounts" } else { "no amount" };
        return Err(invalid(format!("a swap demand has {given}; exactly one must be given")));
    }
    let asset_in = filled("asset-in", event.asset_in)?;
    let asset_out = filled("asset-out", event.asset_out)?;
    Ok(core::SwapDemand {
        quote_id: filled("quote-id", event.quote_id)?,
        instrument: format!("{asset_in}~{asset_out}"),
        asset_in,
        asset_out,
        amount_in: amounts.0,
        amount_out: amounts.1,
        min_deadline_ms: event.min_deadline_ms,
        ttl_ms: event.ttl_ms,
        attributes: attributes_in(event.attributes)?,
    })
}

fn demand_out(event: &core::SwapDemand) -> wit::SwapDemand {
    wit::SwapDemand {
        quote_id: event.quote_id.clone(),
        asset_in: event.asset_in.clone(),
        asset_out: event.asset_out.clone(),
        amount_in: event.amount_in.map(|amount| amount.to_string()),
        amount_out: event.amount_out.map(|amount| amount.to_string()),
        min_deadline_ms: event.min_deadline_ms,
        ttl_ms: event.ttl_ms,
        attributes: attributes_out(&event.attributes),
    }
}

fn settlement_in(event: wit::SwapSettlement) -> Result<core::SwapSettlement, Fault> {
    Ok(core::SwapSettlement {
        quote_hash: filled("quote-hash", event.quote_hash)?,
        intent_hash: event.intent_hash,
        tx_hash: event.tx_hash,
        outcome: match event.outcome {
            wit::SettlementOutcome::Settled => core::SettlementOutcome::Settled,
            wit::SettlementOutcome::Failed => core::SettlementOutcome::Failed,
            wit::SettlementOutcome::Ready => core::SettlementOutcome::Ready,
        },
        attributes: attributes_in(event.attributes)?,
    })
}

fn settlement_out(event: &core::SwapSettlement) -> wit::SwapSettlement {
    wit::SwapSettlement {
        quote_hash: event.quote_hash.clone(),
        intent_hash: event.intent_hash.clone(),
        tx_hash: event.tx_hash.clone(),
        outcome: match event.outcome {
            core::SettlementOutcome::Settled => wit::SettlementOutcome::Settled,
            core::SettlementOutcome::Failed => wit::SettlementOutcome::Failed,
            core::SettlementOutcome::Ready => wit::SettlementOutcome::Ready,
        },
        attributes: attributes_out(&event.attributes),
    }
}

fn book_top_in(event: wit::BookTop) -> Result<core::BookTop, Fault> {
    Ok(core::BookTop {
        instrument: filled("instrument", event.instrument)?,
        bid_price: event.bid_price,
        bid_size: event.bid_size,
        ask_price: event.ask_price,
        ask_size: event.ask_size,
        venue_time: event.venue_time,
        sequence: event.sequence,
        attributes: attributes_in(event.attributes)?,
    })
}

fn book_top_out(event: &core::BookTop) -> wit::BookTop {
    wit::BookTop {
        instrument: event.instrument.clone(),
        bid_price: event.bid_price.clone(),
        bid_size: event.bid_size.clone(),
        ask_price: event.ask_price.clone(),
        ask_size: event.ask_size.clone(),
        venue_time: event.venue_time.clone(),
        sequence: event.sequence.clone(),
        attributes: attributes_out(&event.attributes),
    }
}

fn trade_in(event: wit::Trade) -> Result<core::Trade, Fault> {
    Ok(core::Trade {
        instrument: filled("instrument", event.instrument)?,
        trade_id: event.trade_id,
        price: event.price,
        size: event.size,
        side: match event.side {
            wit::Side::Buy => core::Side::Buy,
            wit::Side::Sell => core::Side::Sell,
        },
        venue_time: event.venue_time,
        attributes: attributes_in(event.attributes)?,
    })
}

fn trade_out(event: &core::Trade) -> wit::Trade {
    wit::Trade {
        instrument: event.instrument.clone(),
        trade_id: event.trade_id.clone(),
        price: event.price.clone(),
        size: event.size.clone(),
        side: match event.side {
            core::Side::Buy => wit::Side::Buy,
            core::Side::Sell => wit::Side::Sell,
        },
        venue_time: event.venue_time.clone(),
        attributes: attributes_out(&event.attributes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    fn demand(amount_in: Option<&str>, amount_out: Option<&str>) -> wit::SwapDemand {
        wit::SwapDemand {
            quote_id: "q".into(),
            asset_in: "a".into(),
            asset_out: "b".into(),
            amount_in: amount_in.map(str::to_owned),
            amount_out: amount_out.map(str::to_owned),
            min_deadline_ms: 60_000,
            ttl_ms: Some(3_000),
            attributes: vec![("partner_id".into(), "x".into())],
        }
    }

    #[test]
    fn a_demand_has_an_instrument_and_exactly_one_amount() {
        let read = demand_in(demand(Some("340282366920938463463374607431768211455"), None)).unwrap();
        assert_eq!(read.instrument, "a~b");
        assert_eq!(read.amount_in.unwrap().0, u128::MAX);
        for wrong in [
            demand(None, None),
            demand(Some("1"), Some("1")),
            demand(Some("1.5"), None),
            demand(None, Some("-1")),
            demand(Some(""), None),
        ] {
            assert_eq!(demand_in(wrong).unwrap_err().kind, FaultKind::Invalid);
        }
        assert!(demand_in(wit::SwapDemand { asset_in: String::new(), ..demand(Some("1"), None) }).is_err());
    }

    #[test]
    fn every_event_reads_back_as_it_was_given() {
        let attributes = vec![("k".to_owned(), "v".to_owned())];
        let settlement = wit::SwapSettlement {
            quote_hash: "h".into(),
            intent_hash: None,
            tx_hash: Some("t".into()),
            outcome: wit::SettlementOutcome::Failed,
            attributes: attributes.clone(),
        };
        let book_top = wit::BookTop {
            instrument: "X".into(),
            bid_price: Some("1".into()),
            bid_size: None,
            ask_price: Some("2".into()),
            ask_size: Some("3".into()),
            venue_time: Some("4".into()),
            sequence: Some("5".into()),
            attributes: attributes.clone(),
        };
        let trade = wit::Trade {
            instrument: "X".into(),
            trade_id: "1".into(),
            price: "2".into(),
            size: "3".into(),
            side: wit::Side::Sell,
            venue_time: "4".into(),
            attributes,
        };
        for event in [
            wit::Event::SwapDemand(demand(None, Some("7"))),
            wit::Event::SwapSettlement(settlement),
            wit::Event::BookTop(book_top),
            wit::Event::Trade(trade),
        ] {
            assert_eq!(event_out(&event_in(event.clone()).unwrap()), event);
        }
    }
}
