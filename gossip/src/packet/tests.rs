use proptest::prelude::*;
use shoalmq_core::id::StoreId;

use super::*;
use crate::Secret;
use crate::swim::Opened;

fn identity() -> impl Strategy<Value = Identity> {
    let numbers = (any::<[u8; 20]>(), any::<(u64, u32, u32, u64)>());
    let address = any::<(std::net::IpAddr, u16)>();
    (numbers, address).prop_map(|((node, (start, renewal, epoch, store)), bus)| Identity {
        node: NodeId::from_bytes(node),
        start,
        renewal,
        epoch,
        store: StoreId(store),
        bus: bus.into(),
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let whom = prop_oneof![
        Just(Whom::Anyone),
        any::<([u8; 20], u32)>()
            .prop_map(|(node, epoch)| Whom::Only(NodeId::from_bytes(node), epoch)),
    ];
    let who = (identity(), any::<u64>(), whom).prop_map(|(sender, nonce, whom)| Who {
        sender,
        nonce,
        whom,
    });
    let i_am = (identity(), any::<(u64, u64, Option<u64>)>()).prop_map(
        |(sender, (sequence, echo, counter))| IAm {
            sender,
            sequence,
            echo,
            counter,
        },
    );
    let swim = (
        any::<u64>(),
        prop::collection::vec(any::<u8>(), 0..=LONGEST_FOCA),
    )
        .prop_map(|(sequence, data)| Packet::Swim { sequence, data });
    prop_oneof![
        who.prop_map(Packet::Who),
        i_am.prop_map(Packet::IAm),
        swim,
        identity().prop_map(Packet::Outranked),
    ]
}

fn envelope(secret: &[u8]) -> Envelope {
    Envelope::new(&Settings {
        secret: Some(Secret::new(secret)),
        ..Settings::default()
    })
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(packet in packet()) {
        let bytes = envelope(b"one").seal(&packet);
        prop_assert!(bytes.len() <= LONGEST);
        prop_assert_eq!(envelope(b"one").open(&bytes), Ok(packet));
        prop_assert_eq!(envelope(b"two").open(&bytes), Err(Reason::Seal));
    }

    #[test]
    fn damage_is_seen(packet in packet(), at: prop::sample::Index, bit in 0..8) {
        let mut bytes = envelope(b"one").seal(&packet);
        *at.get_mut(&mut bytes) ^= 1_u8 << bit;
        prop_assert!(envelope(b"one").open(&bytes).is_err());
    }

    #[test]
    fn no_bytes_panic(body: Vec<u8>, kind: u8) {
        let envelope = envelope(b"one");
        let _ = envelope.open(&body);
        let _ = read(kind, &body);
        let _ = Opened::read(&body).map(|opened| opened.keep(|_, _| true));
    }
}

#[test]
fn a_packet_begins_as_drawn() {
    let who = Packet::Outranked(crate::Identity {
        node: NodeId::from_bytes([1; 20]),
        start: 1,
        renewal: 0,
        epoch: 1,
        store: StoreId(1),
        bus: std::net::SocketAddr::from(([1, 2, 3, 4], 5)),
    });
    let bytes = envelope(b"one").seal(&who);
    assert_eq!(bytes[..2], [0xa7, 1]);
    assert_eq!(bytes[10], 4);
    assert_eq!(bytes[11..31], [1; 20]);
    let mut other = bytes.clone();
    other[1] = 2;
    assert_eq!(envelope(b"one").open(&other), Err(Reason::Version));
    other[1] = 1;
    other[2] ^= 1;
    assert_eq!(envelope(b"one").open(&other), Err(Reason::Cluster));
    assert_eq!(envelope(b"one").open(&bytes[..20]), Err(Reason::Malformed));
    assert_eq!(envelope(b"one").open(&[]), Err(Reason::Version));
}
