/* eventLogging: sends events of a page; docs/clients.md says how. SPDX-License-Identifier: Apache-2.0 */
( () => {
	'use strict';
	if ( window.eventLogging ) {
		return;
	}
	const config = {
			url: '/beacon/event', maxUrl: 2000, byUrl: false, delay: 1000, respectDnt: false, wiki: location.hostname
		},
		schemas = Object.create( null ),
		page = Math.random(),
		kept = 'eventLogging.kept',
		urlOf = ( text ) => config.url + '?' + encodeURIComponent( text ) + ';',
		hidden = () => document.visibilityState === 'hidden',
		bytes = ( text ) => new Blob( [ text ] ).size,
		fits = ( text ) => config.byUrl ? urlOf( text ).length <= config.maxUrl : bytes( text ) < 25e4,
		sampled = ( schema ) => !!schema && !( session >= schema.session || page >= schema.page );
	let queue = [],
		flying = [],
		room = 2e6,
		alone = 0,
		dropped = 0,
		failures = 0,
		session = Math.random(),
		timer;

	try {
		session = +( sessionStorage.eventLogging = sessionStorage.eventLogging || session );
	} catch ( e ) {}

	function done( texts, lost ) {
		room += texts.join( '' ).length;
		dropped += lost ? texts.length : 0;
	}

	function next( limit ) {
		const texts = [];
		let size = 0;
		while ( queue[ 0 ] && texts.length < ( config.byUrl || alone > 0 ? 1 : 500 ) ) {
			size += bytes( queue[ 0 ] ) + 1;
			if ( texts[ 0 ] && size > limit ) {
				break;
			}
			const text = queue.shift();
			fits( text ) ? texts.push( text ) : done( [ text ], 1 );
		}
		alone -= texts.length;
		return texts[ 0 ] && texts;
	}

	function later( wait ) {
		timer = timer || setTimeout( flush, wait );
	}

	function failed( texts, status ) {
		const wrong = status === 400 || status === 413;
		if ( wrong && !texts[ 1 ] ) {
			return done( texts, 1 );
		}
		queue = texts.concat( queue );
		if ( wrong ) {
			// One of them is not taken, and all others with it.
			alone = texts.length;
		} else if ( !status || status === 429 || status >= 500 && status !== 501 ) {
			later( Math.min( 6e4, 1e3 * 2 ** failures++ ) * ( 0.5 + Math.random() ) );
		} else {
			// Nobody takes POSTs there.
			config.byUrl = true;
		}
	}

	function send( texts ) {
		const byUrl = config.byUrl,
			end = ( status, taken ) => {
				const at = flying.indexOf( texts );
				if ( at < 0 ) {
					return;
				}
				flying.splice( at, 1 );
				if ( taken ) {
					failures = 0;
					done( texts );
				} else {
					failed( texts, status );
				}
				if ( !failures ) {
					flush();
				}
			};
		flying.push( texts );
		fetch( byUrl ? urlOf( texts[ 0 ] ) : config.url, byUrl ?
			{ mode: 'no-cors', credentials: 'omit', cache: 'no-store' } :
			{ method: 'POST', body: `[${ texts }]`, credentials: 'omit' }
		).then( ( answer ) => end( answer.status, byUrl || answer.ok ), () => end() );
	}

	function flush() {
		let texts;
		clearTimeout( timer );
		timer = 0;
		while ( flying.length < 4 && ( texts = next( 6e4 ) ) ) {
			send( texts );
		}
	}

	function leave() {
		let texts, left = [];
		resume();
		// What is under way ends with the page; by its uuid it is stored once.
		queue = [].concat( ...flying, queue );
		flying = [];
		// Chromium takes 64 KB of what outlives pages at a time.
		while ( ( texts = next( 15e3 ) ) ) {
			if ( navigator.sendBeacon( ...( config.byUrl ? [ urlOf( texts[ 0 ] ) ] : [ config.url, `[${ texts }]` ] ) ) ) {
				done( texts );
			} else {
				left = left.concat( texts );
			}
		}
		try {
			if ( left[ 0 ] ) {
				sessionStorage[ kept ] = JSON.stringify( left );
			}
			done( left );
		} catch ( e ) {
			done( left, 1 );
		}
	}

	function resume() {
		try {
			for ( const text of JSON.parse( sessionStorage[ kept ] ) ) {
				room -= text.length;
				queue.push( text );
			}
			delete sessionStorage[ kept ];
			later( config.delay );
		} catch ( e ) {}
	}

	function add( name, event ) {
		const schema = schemas[ name ];
		if ( !schema ) {
			console.warn( `eventLogging: schema ${ name } is not declared` );
		}
		if ( !sampled( schema ) ||
			config.respectDnt && ( navigator.doNotTrack === '1' || navigator.globalPrivacyControl ) ) {
			return false;
		}
		dropped++;
		const id = URL.createObjectURL( new Blob() );
		URL.revokeObjectURL( id );
		const text = JSON.stringify( {
			event: Object.assign( {}, schema.defaults, event ),
			revision: schema.revision,
			schema: name,
			uuid: id.slice( -36 ),
			webHost: location.hostname,
			wiki: config.wiki
		} );
		if ( text.length > room || !fits( text ) ) {
			return false;
		}
		dropped--;
		room -= text.length;
		queue.push( text );
		if ( hidden() ) {
			leave();
		} else {
			later( config.delay );
		}
		return true;
	}

	document.addEventListener( 'visibilitychange', () =>
		( hidden() ? leave : resume )() );
	addEventListener( 'pagehide', leave );
	addEventListener( 'pageshow', resume );

	window.eventLogging = {
		configure: ( options ) => Object.assign( config, options ),
		declareSchema: ( name, revision, options ) => {
			schemas[ name ] = Object.assign( { revision }, options );
		},
		inSample: ( name ) => sampled( schemas[ name ] ),
		logEvent: ( name, event ) => {
			try {
				return add( name, event );
			} catch ( e ) {
				return false;
			}
		},
		flush,
		dropped: () => dropped
	};
} )();
